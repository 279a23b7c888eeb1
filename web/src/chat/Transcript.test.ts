// @vitest-environment jsdom
import { Sender } from "./sender";
import { fireEvent, render, screen } from "@testing-library/svelte";
import { flushSync } from "svelte";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Outbox } from "../lib/outbox";
import { Unreachable } from "../lib/api";
import { de } from "../lib/i18n/de";
import { en } from "../lib/i18n/en";
import { chooseLanguage } from "../lib/i18n/index.svelte";
import { Chat, type Exit } from "./chat.svelte";
import { Conversation, PAGE } from "./conversation.svelte";
import { tellExit } from "./exits";
import { usePage } from "./testing/browser";
import { at, event, open, OTHER_SESSION, row, SESSION, status, turnId } from "./testing/rows";
import { Server } from "./testing/server";
import { forgetStreams, streamOf } from "./testing/streams";
import Transcript from "./Transcript.svelte";
import type { TurnRow } from "../lib/wire";

vi.mock("../lib/stream/share", () => import("./testing/streams"));
usePage();

let server: Server;
let chat: Chat;
let conversation: Conversation;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(1_000)) });
  forgetStreams();
  server = new Server();
  chat = new Chat(server.api);
  chat.status = status();
});
afterEach(() => conversation.close());

async function show(...rows: TurnRow[]) {
  server.rows = rows;
  const services = { tell: () => {}, listChanged: () => {}, happened: () => {}, trouble: () => {} };
  const outbox = new Outbox(localStorage, "ada@example.org");
  conversation = new Conversation(
    {
      api: server.api,
      outbox,
      sender: new Sender("ada@example.org"),
      isSameUser: () => Promise.resolve(true),
      ...services,
    },
    SESSION,
    true,
  );
  await vi.advanceTimersByTimeAsync(0);
  const calls = {
    onask: vi.fn(),
    onedit: vi.fn(),
    onrestart: vi.fn(),
    onproblem: vi.fn(),
    ondiscard: vi.fn(),
  };
  const { container } = render(Transcript, { chat, conversation, editing: null, ...calls });
  /** Questions and notices, in the order of the page. */
  const shown = () =>
    [...container.querySelectorAll(".turns > li")].map(
      (item) => item.querySelector(".text")?.textContent ?? item.textContent?.trim(),
    );
  return { container, shown, ...calls };
}

const exit = (second: number, more: Partial<Exit> = {}): Exit => ({
  at: at(second),
  reason: `reason ${second}`,
  restarted: true,
  sessionId: null,
  ...more,
});
const told = (second: number) => `The agent program ended (reason ${second}). ${en.restarted}`;
/** A turn that was asked at one second and begun at another. */
const turn = (number: number, asked: number, begun: number) =>
  row(number, { queued_at: at(asked), started_at: at(begun) });

describe("the end of the agent’s program is told", () => {
  test("between the turns before and after it", async () => {
    chat.exits = [exit(15)];
    const { shown } = await show(turn(1, 10, 11), turn(2, 20, 21));
    expect(shown()).toEqual(["question 1", told(15), "question 2"]);
  });

  test("before a turn that waited meanwhile, after the one that it ended", async () => {
    chat.exits = [exit(30)];
    const { shown } = await show(turn(1, 10, 11), turn(2, 20, 31));
    expect(shown()).toEqual(["question 1", told(30), "question 2"]);
  });

  test("after all turns, as long as there is no later one", async () => {
    chat.exits = [exit(30, { restarted: false })];
    const { shown } = await show(turn(1, 10, 11));
    expect(shown()).toEqual(["question 1", `The agent program ended (reason 30). ${en.willRestart}`]);
    chat.exits = [exit(30)];
    server.rows = [...server.rows, turn(2, 40, 41)];
    await conversation.refresh();
    flushSync();
    expect(shown()).toEqual(["question 1", told(30), "question 2"]);
  });

  test("not where it was before the conversation, or before the part that is shown", async () => {
    chat.exits = [exit(5)];
    const { shown } = await show(turn(1, 10, 11));
    expect(shown()).toEqual(["question 1"]);
  });

  test("in its own conversation, where each has an agent of its own", async () => {
    chat.exits = [exit(15, { sessionId: SESSION }), exit(16, { sessionId: OTHER_SESSION })];
    const { shown } = await show(turn(1, 10, 11), turn(2, 20, 21));
    expect(shown()).toEqual(["question 1", told(15), "question 2"]);
  });

  test("each time that it happened, in order", async () => {
    chat.exits = [exit(12), exit(15), exit(25)];
    const { shown } = await show(turn(1, 10, 11), turn(2, 20, 21));
    expect(shown()).toEqual(["question 1", told(12), told(15), "question 2", told(25)]);
  });

  test("in words, whatever the reason", () => {
    const words = (reason: string) => tellExit(exit(1, { reason }));
    expect(words("the agent exited with status 3")).toBe(
      `The agent program ended with status 3. ${en.restarted}`,
    );
    expect(words("the agent was ended by signal 9")).toBe(
      `The agent program was ended by signal 9. ${en.restarted}`,
    );
    expect(words("the agent was ended by a reset")).toBe(`${en.exitReset} ${en.restarted}`);
    chooseLanguage("de");
    expect(words("the agent exited with status 3")).toBe(
      `Das Agentenprogramm endete mit Status 3. ${de.restarted}`,
    );
    expect(words("something else")).toBe(
      `Das Agentenprogramm wurde beendet (something else). ${de.restarted}`,
    );
  });
});

describe("turns", () => {
  test("keep their elements when others come", async () => {
    const { container, shown } = await show(row(1), row(2));
    const articles = [...container.querySelectorAll("article")];
    server.rows = [row(1), row(2), row(3)];
    await conversation.refresh();
    flushSync();
    expect(shown()).toEqual(["question 1", "question 2", "question 3"]);
    expect([...container.querySelectorAll("article")].slice(0, 2)).toEqual(articles);
  });

  test("from earlier come by a button, above the others", async () => {
    const rows = Array.from({ length: PAGE + 2 }, (_, index) => row(index + 1));
    const { shown } = await show(...rows);
    expect(shown()[0]).toBe("Show earlier messages");
    await fireEvent.click(screen.getByRole("button", { name: "Show earlier messages" }));
    await vi.advanceTimersByTimeAsync(0);
    expect(shown()).toEqual(rows.map(({ user_message }) => user_message));
    expect(screen.queryByRole("button", { name: "Show earlier messages" })).toBeNull();
  });

  test("are stopped each by its own button; where that fails the page says so", async () => {
    const { onproblem } = await show(row(1), open(2), open(3));
    const [, second] = screen.getAllByRole("button", { name: "Stop" });
    if (second) await fireEvent.click(second);
    expect(server.calls.cancel.mock.calls).toEqual([[turnId(3)]]);
    expect(onproblem).not.toHaveBeenCalled();
    server.calls.cancel.mockRejectedValueOnce(new Unreachable());
    if (second) await fireEvent.click(second);
    await vi.advanceTimersByTimeAsync(0);
    expect(onproblem).toHaveBeenCalledTimes(1);
  });

  test("that are not sent are given up by the page, which keeps their words", async () => {
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    const { ondiscard } = await show(row(1));
    conversation.ask("Hello");
    await vi.advanceTimersByTimeAsync(0);
    flushSync();
    await fireEvent.click(screen.getByRole("button", { name: "Discard" }));
    expect(ondiscard.mock.calls).toEqual([[conversation.cells[1]]]);
    expect(server.calls.cancel).not.toHaveBeenCalled();
  });

  test("are answered where the agent can be answered", async () => {
    await show(open(1));
    streamOf(turnId(1)).send(event.asks("1-1", "Which one?", ["a"]));
    flushSync();
    await fireEvent.click(screen.getByRole("button", { name: "a" }));
    await vi.advanceTimersByTimeAsync(0);
    expect(server.calls.reply.mock.calls).toEqual([[turnId(1), "1-1", "a"]]);
    expect(screen.getByText(en.answered)).toBeTruthy();
  });

  test("are not where it cannot", async () => {
    chat.status = status({ can_reply: false });
    await show(open(1));
    streamOf(turnId(1)).send(event.asks("1-1", "Which one?", ["a"]));
    flushSync();
    expect(screen.queryByRole("button", { name: "a" })).toBeNull();
    expect(screen.getByText(en.inTerminal)).toBeTruthy();
  });
});
