// @vitest-environment jsdom
import { flushSync } from "svelte";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { TurnEvent } from "../lib/wire";
import { LONG, notify } from "./notify";
import { chat, server, settle, showing, useChat } from "./testing/chats";
import { at, conversation, event, open, row, SESSION, turnId } from "./testing/rows";
import { streamOf } from "./testing/streams";
import { hear } from "./testing/tabs";

vi.mock("../lib/stream/share", () => import("./testing/streams"));
vi.mock("./tabs", () => import("./testing/tabs"));
vi.mock("./notify", async (original) => ({
  ...(await original<typeof import("./notify")>()),
  notify: vi.fn(async () => {}),
}));
useChat();
beforeEach(() => void vi.mocked(notify).mockClear());

describe("who looks elsewhere is told of", () => {
  const asked = Date.parse(at(1));
  const notified = () => vi.mocked(notify).mock.calls;

  test("an answer that took long, once", async () => {
    server.conversations = [conversation(1, { session_id: SESSION, title: "Deadlines" })];
    await showing(open(1));
    vi.setSystemTime(asked + LONG);
    streamOf(turnId(1)).send(event.content("1-1", "a"), event.end("1-2", 1));
    streamOf(turnId(1)).end();
    await settle();
    expect(notified()).toEqual([["The answer is ready", "Deadlines", "client-1", `/paliadin#${SESSION}`]]);
  });

  test("not of a quick one", async () => {
    await showing(open(1));
    vi.setSystemTime(asked + LONG - 1);
    streamOf(turnId(1)).send(event.end("1-1", 1));
    expect(notified()).toEqual([]);
  });

  test("a question that failed", async () => {
    await showing(open(1));
    streamOf(turnId(1)).send(event.error("1-1", "agent_died"));
    expect(notified()).toEqual([
      ["A question was not answered", "question 1", "client-1", `/paliadin#${SESSION}`],
    ]);
  });

  test("not what was stopped", async () => {
    await showing(open(1));
    streamOf(turnId(1)).send(event.error("1-1", "cancelled"));
    expect(notified()).toEqual([]);
  });

  test("what the agent asks, at once, and each question once", async () => {
    await showing(open(1));
    vi.setSystemTime(asked + 1);
    streamOf(turnId(1)).send(event.asks("1-1", "Which one?"));
    streamOf(turnId(1)).send({
      id: null,
      event: "thinking",
      data: { elapsed_seconds: 5, since_first: null, upstream: "attention", activity: null },
    });
    expect(notified()).toEqual([["The agent needs you", "Which one?", "client-1", `/paliadin#${SESSION}`]]);
    streamOf(turnId(1)).send(event.asks("1-2", "And now?"));
    expect(notified()).toHaveLength(2);
  });

  test("what the agent still asks not anew, though the answer went on or another server takes the turn up", async () => {
    await showing(open(1));
    vi.setSystemTime(asked + 1);
    const thinking = (upstream: "attention" | "queued"): TurnEvent => ({
      id: null,
      event: "thinking",
      data: { elapsed_seconds: 5, since_first: null, upstream, activity: null },
    });
    const stream = streamOf(turnId(1));
    stream.send(event.asks("1-1", "Which one?"), event.content("1-2", "That one."), thinking("attention"));
    stream.send(thinking("queued"), thinking("attention"));
    expect(chat.conversation?.cells[0]?.view.attention?.id).toBe("1-1");
    expect(notified()).toHaveLength(1);
  });

  test("by its question, where the conversation has no title yet", async () => {
    await showing(open(1, { user_message: "x".repeat(200) }));
    streamOf(turnId(1)).send(event.end("1-1", 1));
    expect(notified()[0]?.[1]).toBe("x".repeat(80));
  });
});

describe("where the agent waits for the reader", () => {
  const asked = () => [...chat.asking];

  test("is known, in whichever conversation that is open here", async () => {
    await showing(open(1));
    expect(asked()).toEqual([]);
    streamOf(turnId(1)).send(event.asks("1-1", "Which one?"));
    expect(asked()).toEqual([SESSION]);
    chat.begin();
    expect(asked()).toEqual([SESSION]);
    streamOf(turnId(1)).send(event.content("1-2", "That one."));
    expect(asked()).toEqual([]);
  });

  test.each([
    [
      "is answered here",
      async () => {
        const cell = chat.conversation?.cells[0];
        if (cell) await chat.conversation?.reply(cell, "a");
      },
    ],
    ["is answered in another tab", () => hear({ kind: "answered", turnId: turnId(1), number: 2 ** 32 + 1 })],
    ["is over, as the server tells", async () => ((server.rows = [row(1)]), chat.conversation?.refresh())],
    ["ends", () => streamOf(turnId(1)).send(event.error("1-2", "cancelled"))],
    ["is deleted", () => chat.remove(SESSION)],
    ["is deleted in another tab", () => hear({ kind: "deleted", sessionId: SESSION })],
  ])("is no longer where it %s", async (_, happens) => {
    await showing(open(1));
    streamOf(turnId(1)).send(event.asks("1-1", "Which one?"));
    await happens();
    await settle();
    expect(asked()).toEqual([]);
  });
});

describe("who listens is told", () => {
  /** Everything that was said, in order; what is said twice is heard twice. */
  function listen(): { said: string[]; stop: () => void } {
    const said: string[] = [];
    const stop = $effect.root(() => {
      $effect(() => {
        if (chat.announcement !== "") said.push(chat.announcement.trim());
      });
    });
    return { said, stop };
  }

  test.each([
    ["Answer complete.", event.end("1-1", 1)],
    ["Stopped.", event.error("1-1", "cancelled")],
    ["The agent program ended in the middle of this.", event.error("1-1", "agent_died")],
    ["The agent asks: Which one?", event.asks("1-1", "Which one?")],
  ])("%s", async (text, news) => {
    await showing(open(1));
    const { said, stop } = listen();
    streamOf(turnId(1)).send(news);
    await settle();
    flushSync();
    expect(said).toEqual([text]);
    stop();
  });

  test("which conversation it was, where another one is looked at", async () => {
    server.conversations = [conversation(1, { session_id: SESSION, title: "Deadlines" })];
    await showing(open(1));
    chat.begin();
    const { said, stop } = listen();
    streamOf(turnId(1)).send(event.end("1-1", 1));
    flushSync();
    expect(said).toEqual(["Deadlines: Answer complete."]);
    stop();
  });

  test("every end, also where it is the same as the one before", async () => {
    await showing(open(1), open(2));
    const { said, stop } = listen();
    for (const number of [1, 2]) {
      streamOf(turnId(number)).send(event.end("1-1", number));
      await settle();
      flushSync();
    }
    expect(said).toEqual(["Answer complete.", "Answer complete."]);
    stop();
  });

  test("what a later server's code means, as far as we know", async () => {
    await showing(open(1));
    const { said, stop } = listen();
    const news = event.error("1-1", "timeout");
    streamOf(turnId(1)).send({
      ...news,
      data: { code: "solar_flare", message: "", retryable: true },
    } as never);
    await settle();
    flushSync();
    expect(said).toEqual(["This did not work."]);
    stop();
  });
});
