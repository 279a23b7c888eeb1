// @vitest-environment node
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { TurnEvent } from "../wire";
import { follow, type FollowOptions, type Link, type Timing } from "./client";
import { frame, script, TurnLog } from "./testing/log";
import { seeded } from "./testing/random";
import { Reader } from "./testing/reader";

type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  cursor: string | null,
) => void | Promise<void>;

let server: Server;
let url: string;
let handle: Handler;
/** The cursor of each request that came. */
let cursors: (string | null)[];
const sockets = new Set<Socket>();

beforeEach(async () => {
  cursors = [];
  server = createServer((request, response) => {
    const cursor = new URL(request.url ?? "/", "http://localhost").searchParams.get("last_event_id");
    cursors.push(cursor);
    void handle(request, response, cursor);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/paliadin/stream/t`;
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

const QUICK: Partial<Timing> = { retryMs: 2, ceilingMs: 20, random: () => 0.5 };

function start(more: Partial<FollowOptions> = {}) {
  const reader = new Reader();
  const links: Link[] = [];
  const ending = new AbortController();
  const options: FollowOptions = {
    url,
    cursor: null,
    onEvent: reader.onEvent,
    onLink: (link) => links.push(link),
    signal: ending.signal,
    ...more,
    timing: { ...QUICK, ...more.timing },
  };
  return { reader, links, ending, end: follow(options) };
}

function open(response: ServerResponse): ServerResponse {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.flushHeaders();
  return response;
}

const problem = (response: ServerResponse, status: number, code: string, headers = {}) => {
  response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
  response.end(JSON.stringify({ code, detail: "", status }));
};

const content = (id: string, delta: string) =>
  frame({ id, event: "content", data: { delta, streamed: true } });
const ended = (id: string) => frame({ id, event: "end", data: { used_tools: [], rows_seen: [] } });
const failed = (id: string) =>
  frame({ id, event: "error", data: { code: "timeout", message: "", retryable: true } });
const turn = (events: TurnEvent[]) => events.map(({ id, event }) => `${id} ${event}`);

/** Resolves when one of these has come. */
const until = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { interval: 2, timeout: 5000 });

test("a whole turn over one connection", async () => {
  handle = (request, response) => {
    expect(request.headers.accept).toBe("text/event-stream");
    expect(request.headers.authorization).toBe("Bearer pal_x");
    open(response).end(`retry: 2000\n\n${content("1-1", "Hel")}${content("1-2", "lo 🜍")}${ended("1-3")}`);
  };
  const { reader, links, end } = start({ headers: () => ({ Authorization: "Bearer pal_x" }) });
  expect(await end).toEqual({ how: "final" });
  expect(reader.text).toBe("Hello 🜍");
  expect(links).toEqual(["connecting", "live"]);
});

test("goes on where it was, by the query", async () => {
  handle = (_, response, cursor) => {
    if (cursor === "1-7") open(response).end(content("1-8", "b"));
    else open(response).end(ended("1-9"));
  };
  const { reader, links, end } = start({ cursor: "1-7" });
  expect(await end).toEqual({ how: "final" });
  expect(cursors).toEqual(["1-7", "1-8"]);
  expect(turn(reader.events)).toEqual(["1-8 content", "1-9 end"]);
  expect(links).toEqual(["connecting", "live", "waiting", "connecting", "live"]);
});

test(
  "with random cuts, losses and restarts nothing is lost, nothing doubled",
  { timeout: 60_000 },
  async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seeded(seed);
      const log = new TurnLog();
      const steps = script(log, random);
      let isCalm = false;
      let connections = 0;
      handle = async (_, response, cursor) => {
        const position = log.position(cursor);
        if (position === null) return void response.writeHead(204).end();
        if (random.below(8) === 0) return problem(response, 503, "store_unavailable");
        open(response);
        // It grows, or an event that is longer would never get through.
        let budget = isCalm ? Infinity : 1 + random.below(100 * ++connections);
        const write = async (text: string) => {
          let bytes = Buffer.from(text);
          while (bytes.length > 0 && !response.destroyed) {
            const piece = bytes.subarray(0, Math.min(1 + random.below(60), budget));
            bytes = bytes.subarray(piece.length);
            budget -= piece.length;
            await new Promise((resolve) => response.write(piece, resolve));
            if (budget === 0) return void response.destroy();
          }
        };
        await write(position.frames);
        const seen = log.entries.slice(0, position.index);
        for (let index = position.index; !response.destroyed;) {
          const entry = log.entries[index];
          // A restart that takes events back ends every connection.
          if (seen.some((entry, index) => log.entries[index] !== entry)) return void response.destroy();
          if (entry !== undefined) {
            seen.push(entry);
            await write(frame(entry));
            index++;
          } else if (log.isOver) {
            return void response.end();
          } else {
            if (random.below(3) === 0) await write(frame({ event: "ping", data: {} }));
            // Nobody but the readers drives the turn: so every order of cuts and news comes up.
            if (steps.next().done) isCalm = true;
            await Promise.resolve();
          }
        }
      };
      const { reader, end } = start();
      expect(await end, `seed ${seed}`).toEqual({ how: "final" });
      expect(reader.text, `seed ${seed}`).toBe(log.text);
      expect(reader.view.text, `seed ${seed}`).toBe(log.text);
      expect(reader.view.phase, `seed ${seed}`).toBe(log.entries.at(-1)?.event === "end" ? "done" : "failed");
      expect(reader.cursor, `seed ${seed}`).toBe(log.entries.at(-1)?.id);
    }
  },
);

test("204: nothing follows", async () => {
  handle = (_, response) => void response.writeHead(204).end();
  expect(await start({ cursor: "1-9" }).end).toEqual({ how: "nothing" });
});

test.each([
  [401, "unauthenticated"],
  [403, "origin_not_allowed"],
  [404, "not_found"],
  [400, "invalid_request"],
])("%i is a refusal", async (status, code) => {
  handle = (_, response) => problem(response, status, code);
  const end = await start().end;
  expect(end).toMatchObject({ how: "refused", error: { status, code } });
  expect(cursors).toHaveLength(1);
});

test.each([429, 500, 502, 503])("%i is worth another try", async (status) => {
  handle = (_, response) => {
    if (cursors.length < 4) problem(response, status, "later");
    else open(response).end(ended("1-1"));
  };
  expect(await start().end).toEqual({ how: "final" });
});

test("a server that is not there is waited for", async () => {
  handle = (_, response) => {
    if (cursors.length < 3) response.destroy();
    else open(response).end(ended("1-1"));
  };
  expect(await start().end).toEqual({ how: "final" });
});

test("a connection on which nothing comes is dropped and taken up again", async () => {
  const times: number[] = [];
  handle = (_, response, cursor) => {
    times.push(Date.now());
    if (cursor === null) open(response).write(content("1-1", "a"));
    else open(response).end(ended("1-2"));
  };
  const { reader, end } = start({ timing: { silenceMs: 80 } });
  expect(await end).toEqual({ how: "final" });
  expect(turn(reader.events)).toEqual(["1-1 content", "1-2 end"]);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(79);
});

test("pings keep a connection", async () => {
  handle = async (_, response) => {
    open(response);
    for (let count = 0; count < 8; count++) {
      response.write(frame({ event: "ping", data: {} }));
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    response.end(ended("1-1"));
  };
  expect(await start({ timing: { silenceMs: 100 } }).end).toEqual({ how: "final" });
  expect(cursors).toHaveLength(1);
});

test("an answer that never begins is given up", async () => {
  handle = (_, response) => {
    if (cursors.length > 1) open(response).end(ended("1-1"));
  };
  expect(await start({ timing: { openMs: 50 } }).end).toEqual({ how: "final" });
});

test("the server's retry is the first wait", async () => {
  const times: number[] = [];
  handle = (_, response) => {
    times.push(Date.now());
    if (times.length === 1) open(response).end("retry: 150\n\n");
    else open(response).end(ended("1-1"));
  };
  await start({ timing: { ceilingMs: 30_000, random: () => 0 } }).end;
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(149);
});

test("after an error it listens on for the answer that came late", async () => {
  const late = frame({ id: "1-3", event: "resync", data: { text: "late" } });
  handle = (_, response) =>
    void open(response).end(content("1-1", "a") + failed("1-2") + late + ended("1-4"));
  const { reader, end } = start();
  expect(await end).toEqual({ how: "final" });
  expect(reader.view).toMatchObject({ phase: "done", text: "late" });
});

test("an error is final where the connection is then left open", async () => {
  handle = (_, response) => void open(response).write(failed("1-1"));
  const { reader, end } = start({ timing: { graceMs: 50 } });
  expect(await end).toEqual({ how: "final" });
  expect(reader.kinds).toBe("error");
});

test("cut off after an error, it asks whether that was all", async () => {
  handle = (_, response, cursor) => {
    if (cursor === "1-1") return void response.writeHead(204).end();
    open(response).write(failed("1-1"), () => response.destroy());
  };
  const { reader, end } = start();
  expect(await end).toEqual({ how: "final" });
  expect(reader.kinds).toBe("error");
  expect(cursors).toEqual([null, "1-1"]);
});

test("an id that is not greater is dropped; a resync is not", async () => {
  const repeated = content("1-2", "b") + content("1-1", "a") + content("0-7", "x");
  const back = frame({ id: "1-1", event: "resync", data: { text: "A" } });
  handle = (_, response) =>
    void open(response).end(
      content("1-1", "a") + repeated + content("1-10", "c") + back + content("1-2", "B") + ended("2-1"),
    );
  const { reader, end } = start();
  await end;
  expect(turn(reader.events)).toEqual([
    "1-1 content",
    "1-2 content",
    "1-10 content",
    "1-1 resync",
    "1-2 content",
    "2-1 end",
  ]);
  expect(reader.text).toBe("AB");
});

test("kinds of events that nobody knows are passed over", async () => {
  const unknown = frame({ id: "1-2", event: "picture", data: {} }) + "data: {}\n\n";
  handle = (_, response) => void open(response).end(content("1-1", "a") + unknown + ended("1-3"));
  const { reader, end } = start();
  await end;
  expect(turn(reader.events)).toEqual(["1-1 content", "1-3 end"]);
});

test.each([
  ["broken JSON", "id: 1-2\nevent: content\ndata: {\n\n"],
  ["data of another shape", frame({ id: "1-2", event: "resync", data: {} })],
  ["no object", frame({ id: "1-2", event: "content", data: null })],
  ["no id", frame({ event: "content", data: { text: "a" } })],
  ["an id of another form", frame({ id: "7", event: "content", data: { text: "a" } })],
])("%s breaks the connection, and after three in a row is a refusal", async (_, text) => {
  handle = (_, response, cursor) =>
    void open(response).end(cursor === null ? content("1-1", "a") + text : text);
  const { reader, end } = start();
  expect(await end).toMatchObject({ how: "refused", error: { code: "unreadable" } });
  expect(turn(reader.events)).toEqual(["1-1 content"]);
  // The first one brought an event before it broke, and counts all the same.
  expect(cursors).toEqual([null, "1-1", "1-1"]);
});

test("what broke once may be whole the next time", async () => {
  handle = (_, response) => {
    if (cursors.length < 3) open(response).end("id: 1-1\nevent: content\ndata: {\n\n");
    else open(response).end(content("1-1", "a") + ended("1-2"));
  };
  const { reader, end } = start();
  expect(await end).toEqual({ how: "final" });
  expect(reader.text).toBe("a");
});

test("a page in place of the stream is unreadable", async () => {
  handle = (_, response) => void response.writeHead(200, { "Content-Type": "text/html" }).end("<html>");
  expect(await start().end).toMatchObject({ how: "refused", error: { code: "unreadable" } });
});

test("aborted: nothing is delivered any more, and the connection is closed", async () => {
  let closed = false;
  handle = (_, response) => {
    response.on("close", () => (closed = true));
    open(response).write(content("1-1", "a") + content("1-2", "b") + content("1-3", "c"));
  };
  const seen: TurnEvent[] = [];
  const ending = new AbortController();
  const end = follow({
    url,
    cursor: null,
    signal: ending.signal,
    onEvent: (event) => {
      seen.push(event);
      if (event.id === "1-2") ending.abort();
    },
  });
  expect(await end).toEqual({ how: "aborted" });
  expect(turn(seen)).toEqual(["1-1 content", "1-2 content"]);
  await until(() => closed);
  expect(await start({ signal: ending.signal }).end).toEqual({ how: "aborted" });
  expect(cursors).toHaveLength(1);
});

test("an error of the page's own ends it aloud, and closes the connection", async () => {
  let closed = false;
  handle = (_, response) => {
    response.on("close", () => (closed = true));
    open(response).write(content("1-1", "a"));
  };
  const mistake = new Error("a mistake");
  const end = start({
    onEvent: () => {
      throw mistake;
    },
  }).end;
  await expect(end).rejects.toBe(mistake);
  await until(() => closed);
});

test("an answer of a mebibyte in one event", async () => {
  const text = "äöü 🜍 ".repeat(100_000);
  handle = (_, response) =>
    void open(response).end(frame({ id: "1-1", event: "content", data: { text } }) + ended("1-2"));
  const { reader, end } = start();
  await end;
  expect(reader.text).toBe(text);
  expect(reader.view.oneShot).toBe(true);
});
