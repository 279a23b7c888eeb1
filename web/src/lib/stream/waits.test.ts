import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { follow, type FollowOptions, type Link } from "./client";
import { TurnLog } from "./testing/log";
import { Reader } from "./testing/reader";
import { TurnServer } from "./testing/server";

// When the client of the stream comes again, by a clock and a network of our own.

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function start(more: Partial<FollowOptions> = {}) {
  const log = new TurnLog();
  const server = new TurnServer(log);
  const reader = new Reader();
  const links: Link[] = [];
  const ending = new AbortController();
  const end = follow({
    url: "/api/paliadin/stream/t",
    cursor: null,
    onEvent: reader.onEvent,
    onLink: (link) => links.push(link),
    signal: ending.signal,
    fetch: server.fetch,
    timing: { random: () => 0 },
    ...more,
  });
  return { log, server, reader, links, ending, end };
}

/** Milliseconds until the next request comes. */
async function nextRequest(server: TurnServer): Promise<number> {
  const { requests } = server;
  const begun = Date.now();
  while (server.requests === requests) await vi.advanceTimersToNextTimerAsync();
  const waited = Date.now() - begun;
  await vi.advanceTimersByTimeAsync(0);
  return waited;
}

const busy = () => new Response("", { status: 503 });
const gone = () => {
  throw new TypeError("Failed to fetch");
};

test("waits double up to 30 s, and begin anew once an event came", async () => {
  const { server, log, reader } = start();
  server.instead = busy;
  await vi.advanceTimersByTimeAsync(0);
  const waits: number[] = [];
  for (let count = 0; count < 6; count++) waits.push(await nextRequest(server));
  expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  server.instead = () => null;
  log.content("a");
  await nextRequest(server);
  expect(reader.text).toBe("a");
  server.cutAll();
  expect(await nextRequest(server)).toBe(2_000);
  // This one brought nothing.
  server.cutAll();
  expect(await nextRequest(server)).toBe(4_000);
});

test("waits are spread", async () => {
  const { server } = start({ timing: { random: () => 1 } });
  server.instead = busy;
  await vi.advanceTimersByTimeAsync(0);
  expect(await nextRequest(server)).toBe(1_500);
  expect(await nextRequest(server)).toBe(3_000);
});

test("a busy server's Retry-After is kept, within the ceiling", async () => {
  const { server } = start();
  const answers = ["5", "3600", "nonsense"];
  server.instead = () =>
    new Response("", { status: 429, headers: { "Retry-After": answers.shift() ?? "0" } });
  await vi.advanceTimersByTimeAsync(0);
  expect(await nextRequest(server)).toBe(5_000);
  expect(await nextRequest(server)).toBe(30_000);
  expect(await nextRequest(server)).toBe(8_000);
});

test.each([
  ["the browser comes online", () => window.dispatchEvent(new Event("online"))],
  ["the page becomes visible", () => document.dispatchEvent(new Event("visibilitychange"))],
])("comes again at once when %s", async (_, wake) => {
  const { server, links } = start();
  server.instead = busy;
  await vi.advanceTimersByTimeAsync(10);
  expect(links.at(-1)).toBe("waiting");
  server.instead = () => null;
  wake();
  await vi.advanceTimersByTimeAsync(1);
  expect(server.requests).toBe(2);
  expect(links.at(-1)).toBe("live");
});

test("a page that is hidden is not woken", async () => {
  vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
  const { server } = start();
  server.instead = busy;
  await vi.advanceTimersByTimeAsync(10);
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(10);
  expect(server.requests).toBe(1);
});

test("without network it waits for it, 30 s at most", async () => {
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  const { server } = start({ url: "https://paliadin.example/api/paliadin/stream/t" });
  server.instead = gone;
  await vi.advanceTimersByTimeAsync(0);
  expect(await nextRequest(server)).toBe(30_000);
  server.instead = () => null;
  window.dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(1);
  expect(server.requests).toBe(3);
});

test.each([
  "http://localhost:8717",
  "http://127.0.0.1:8717",
  "http://[::1]:8717",
  "http://paliadin.localhost",
])("%s needs no network", async (origin) => {
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  const { server } = start({ url: `${origin}/api/paliadin/stream/t` });
  server.instead = gone;
  await vi.advanceTimersByTimeAsync(0);
  expect(await nextRequest(server)).toBe(2_000);
});

test("on a new network the connection is a new one", async () => {
  const { server, log, reader, links } = start();
  log.content("a");
  await vi.advanceTimersByTimeAsync(10);
  window.dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(10);
  expect(server.requests).toBe(2);
  expect(server.open.size).toBe(1);
  log.content("b");
  await vi.advanceTimersByTimeAsync(10);
  expect(reader.text).toBe("ab");
  expect(links).toEqual(["connecting", "live", "connecting", "live"]);
});

test("after a machine slept, a page that is looked at again does not trust its connection", async () => {
  const { server } = start();
  await vi.advanceTimersByTimeAsync(10);
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(10);
  expect(server.requests).toBe(1);
  // Timers stood still meanwhile.
  vi.setSystemTime(Date.now() + 3_600_000);
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(10);
  expect(server.requests).toBe(2);
});

test("45 s without a word, and the connection is taken up again", async () => {
  const { server, log } = start();
  await vi.advanceTimersByTimeAsync(40_000);
  log.push("attention", { kind: "question", prompt: "?", options: [] });
  await vi.advanceTimersByTimeAsync(44_000);
  expect(server.requests).toBe(1);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(server.requests).toBe(2);
});

test("can be aborted while it waits, and leaves no timer", async () => {
  const { server, ending, end } = start();
  server.instead = busy;
  await vi.advanceTimersByTimeAsync(10);
  ending.abort();
  expect(await end).toEqual({ how: "aborted" });
  expect(vi.getTimerCount()).toBe(0);
});
