import { describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import type { Accepted, TurnRow } from "../lib/wire";
import {
  begin,
  cellAt,
  isSameUser,
  loaded,
  outbox,
  page,
  server,
  settle,
  shown,
  useConversations,
} from "./testing/conversations";
import { event, open, OTHER_SESSION, row, SESSION, turnId } from "./testing/rows";
import { slow } from "./testing/server";
import { opened, streamOf } from "./testing/streams";
import type { Conversation } from "./conversation.svelte";

vi.mock("../lib/stream/share", () => import("./testing/streams"));
useConversations();

describe("asking", () => {
  test("shows the question at once, and follows it when it is accepted", async () => {
    const conversation = begin({ isNew: true });
    conversation.ask("Hello");
    expect(shown(conversation)).toEqual(["sending: Hello"]);
    expect(outbox.all()).toHaveLength(1);
    await settle();
    expect(shown(conversation)).toEqual(["starting: Hello"]);
    expect(outbox.all()).toEqual([]);
    expect(page.tell).toHaveBeenCalledWith({ kind: "turn", sessionId: SESSION, turnId: turnId(1) });
    expect(page.listChanged).toHaveBeenCalledTimes(1);
    expect(streamOf(turnId(1)).isOpen).toBe(true);
  });

  test("keeps one cell where its row is faster than the answer", async () => {
    const conversation = await loaded(row(1));
    const answer = slow<Accepted>();
    server.calls.ask.mockImplementationOnce(async (ask) => {
      const { client_turn_id, user_message } = ask;
      server.rows = [row(1), open(2, { client_turn_id, user_message })];
      return answer.promise;
    });
    conversation.ask("Hello");
    await settle();
    await conversation.refresh();
    expect(shown(conversation)).toEqual(["done: question 1", "starting: Hello"]);
    answer.resolve({ turn_id: turnId(2), session_id: SESSION, sse_url: "", position: 3 });
    await settle();
    expect(shown(conversation)).toEqual(["done: question 1", "starting: Hello"]);
    expect(opened()).toHaveLength(1);
  });

  test("goes out after those that were written before", async () => {
    const conversation = await loaded(row(1));
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    conversation.ask("first");
    conversation.ask("second");
    await settle();
    expect(shown(conversation)).toEqual(["done: question 1", "unsent: first", "unsent: second"]);
    expect(cellAt(conversation, 2).held).toBe("offline");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown(conversation)).toEqual(["done: question 1", "starting: first", "starting: second"]);
    expect(server.rows.map(({ user_message }) => user_message)).toEqual(["question 1", "first", "second"]);
  });

  test("is held up by none that was given up or refused", async () => {
    const conversation = await loaded(row(1));
    server.calls.ask
      .mockRejectedValueOnce(new Unreachable())
      .mockRejectedValueOnce(new ApiError(413, "message_too_large", "", false));
    for (const message of ["given up", "refused", "third"]) conversation.ask(message);
    await settle();
    conversation.discard(cellAt(conversation, 1));
    await settle();
    expect(shown(conversation)).toEqual(["done: question 1", "failed: refused", "starting: third"]);
  });

  test("is asked in nobody else's name, who signed in while it waited", async () => {
    const conversation = await loaded(row(1));
    isSameUser.mockResolvedValue(false);
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    conversation.ask("Hello");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
    expect(shown(conversation)).toEqual(["done: question 1", "unsent: Hello"]);
    expect(outbox.all()).toHaveLength(1);
  });

  test.each([
    ["no server answers", new Unreachable(), "offline"],
    ["too many wait", new ApiError(429, "queue_full", "", true, 5_000), "full"],
    ["the database does not answer", new ApiError(503, "store_unavailable", "", true), "busy"],
  ] as const)("waits where %s", async (_, error, held) => {
    const conversation = begin({ isNew: true });
    server.calls.ask.mockRejectedValueOnce(error);
    conversation.ask("Hello");
    await settle();
    expect(shown(conversation)).toEqual(["unsent: Hello"]);
    expect(cellAt(conversation, 0).held).toBe(held);
    expect(conversation.isBusy).toBe(true);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(shown(conversation)).toEqual(["starting: Hello"]);
    expect(cellAt(conversation, 0).held).toBeNull();
    const ids = server.calls.ask.mock.calls.map(([ask]) => ask.client_turn_id);
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
  });

  test.each([
    new ApiError(413, "message_too_large", "too long", false),
    new ApiError(404, "not_found", "deleted"),
    new ApiError(400, "invalid_request", "no"),
    new ApiError(503, "agent_crash_loop", "it keeps ending", false),
  ])("stays on the page where it is refused: %s", async (error) => {
    const conversation = begin({ isNew: true });
    server.calls.ask.mockRejectedValueOnce(error);
    conversation.ask("Hello");
    await settle();
    expect(shown(conversation)).toEqual(["failed: Hello"]);
    expect(cellAt(conversation, 0).view.error).toMatchObject({ code: error.code, message: error.detail });
    expect(outbox.all()).toEqual([]);
    expect(conversation.isBusy).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
  });

  test("is kept where nobody is signed in, and sent when somebody is", async () => {
    const conversation = await loaded(row(1));
    server.calls.ask.mockRejectedValueOnce(new ApiError(401, "unauthenticated", ""));
    conversation.ask("Hello");
    await settle();
    expect(shown(conversation)).toEqual(["done: question 1", "unsent: Hello"]);
    expect(cellAt(conversation, 1).held).toBe("signed-out");
    expect(page.trouble).toHaveBeenCalledTimes(1);
    expect(outbox.all()).toHaveLength(1);
    await conversation.refresh();
    await settle();
    expect(shown(conversation)).toEqual(["done: question 1", "starting: Hello"]);
    expect(cellAt(conversation, 1).held).toBeNull();
  });

  test("a refused question keeps its place when later ones are answered", async () => {
    const conversation = await loaded(row(1));
    server.calls.ask.mockRejectedValueOnce(new ApiError(413, "message_too_large", "", false));
    conversation.ask("too long");
    await settle();
    conversation.ask("shorter");
    await settle();
    await conversation.refresh();
    expect(shown(conversation)).toEqual(["done: question 1", "failed: too long", "starting: shorter"]);
  });

  test("goes on while history is still being read", async () => {
    const history = slow<TurnRow[]>();
    server.calls.history.mockReturnValueOnce(history.promise);
    server.rows = [row(1)];
    const conversation = begin();
    conversation.ask("Hello");
    await settle();
    history.resolve([row(1)]);
    await settle();
    expect(conversation.standing).toBe("ready");
    expect(shown(conversation)).toEqual(["done: question 1", "starting: Hello"]);
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
  });
});

describe("after a reload", () => {
  const left = { user_message: "written before", session_id: SESSION, client_turn_id: "client-9" };

  test("what did not arrive is sent again, as the same turn", async () => {
    outbox.put(left);
    outbox.put({ ...left, session_id: OTHER_SESSION, client_turn_id: "client-8" });
    const conversation = await loaded(row(1));
    expect(server.calls.ask.mock.calls.map(([ask]) => ask)).toEqual([left]);
    expect(shown(conversation)).toEqual(["done: question 1", "starting: written before"]);
    expect(outbox.all()).toHaveLength(1);
  });

  test("what did arrive is not", async () => {
    outbox.put(left);
    const conversation = await loaded(row(1), open(2, { client_turn_id: "client-9" }));
    expect(server.calls.ask).not.toHaveBeenCalled();
    expect(conversation.cells).toHaveLength(2);
    expect(outbox.all()).toEqual([]);
  });

  test("a conversation that the server does not know yet is there by its question", async () => {
    outbox.put(left);
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    const conversation = await loaded();
    expect(conversation.standing).toBe("ready");
    expect(shown(conversation)).toEqual(["unsent: written before"]);
  });

  test("several refreshes do not send it several times", async () => {
    const answer = slow<Accepted>();
    server.calls.ask.mockReturnValueOnce(answer.promise);
    outbox.put(left);
    const conversation = await loaded(row(1));
    await conversation.refresh();
    await conversation.refresh();
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
    expect(conversation.cells).toHaveLength(2);
  });
});

describe("stopping", () => {
  test("asks the server, and tells the other tabs", async () => {
    const conversation = await loaded(open(1));
    await conversation.cancel(cellAt(conversation, 0));
    expect(server.calls.cancel).toHaveBeenCalledWith(turnId(1));
    expect(page.tell).toHaveBeenCalledWith({ kind: "turn", sessionId: SESSION, turnId: turnId(1) });
    server.calls.cancel.mockRejectedValueOnce(new Unreachable());
    await expect(conversation.cancel(cellAt(conversation, 0))).rejects.toThrow(Unreachable);
  });

  test("a message that waits is given up: it is never sent", async () => {
    const conversation = begin({ isNew: true });
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    conversation.ask("Hello");
    await settle();
    await conversation.cancel(cellAt(conversation, 0));
    expect(conversation.cells).toEqual([]);
    expect(conversation.standing).toBe("new");
    expect(outbox.all()).toEqual([]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
    expect(server.rows).toEqual([]);
    expect(page.trouble).not.toHaveBeenCalled();
  });

  test("a message that is on its way is stopped when it has arrived", async () => {
    const conversation = await loaded(row(1));
    const answer = slow<Accepted>();
    server.calls.ask.mockReturnValueOnce(answer.promise);
    conversation.ask("Hello");
    await settle();
    conversation.discard(cellAt(conversation, 1));
    expect(shown(conversation)).toEqual(["done: question 1"]);
    answer.resolve({ turn_id: turnId(2), session_id: SESSION, sse_url: "", position: 0 });
    await settle();
    expect(server.calls.cancel).toHaveBeenCalledWith(turnId(2));
    expect(opened(turnId(2))).toEqual([]);
    expect(page.listChanged).toHaveBeenCalled();
  });

  test("a message that was just written is never sent", async () => {
    const conversation = await loaded(row(1));
    conversation.ask("Hello");
    conversation.discard(cellAt(conversation, 1));
    await settle();
    expect(server.calls.ask).not.toHaveBeenCalled();
    expect(outbox.all()).toEqual([]);
  });

  test("one that is on its way and fails is not tried again", async () => {
    const conversation = await loaded(row(1));
    const answer = slow<Accepted>();
    server.calls.ask.mockReturnValueOnce(answer.promise);
    conversation.ask("Hello");
    await settle();
    conversation.discard(cellAt(conversation, 1));
    answer.reject(new Unreachable());
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
    expect(shown(conversation)).toEqual(["done: question 1"]);
  });

  test("a message that waits for a sign-in is given up, too", async () => {
    const conversation = await loaded(row(1));
    server.calls.ask.mockRejectedValueOnce(new ApiError(401, "unauthenticated", ""));
    conversation.ask("Hello");
    await settle();
    conversation.discard(cellAt(conversation, 1));
    await conversation.refresh();
    await settle();
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
    expect(shown(conversation)).toEqual(["done: question 1"]);
  });
});

describe("what the agent asks", () => {
  async function asked(): Promise<Conversation> {
    const conversation = await loaded(open(1));
    streamOf(turnId(1)).send(event.asks("1-5", "Which one?", ["a", "b"]));
    return conversation;
  }
  const attention = (conversation: Conversation) => cellAt(conversation, 0).view.attention;

  test("is answered, and the other tabs hear of it", async () => {
    const conversation = await asked();
    expect(cellAt(conversation, 0).view.phase).toBe("asking");
    await conversation.reply(cellAt(conversation, 0), "a");
    expect(server.calls.reply).toHaveBeenCalledWith(turnId(1), "1-5", "a");
    expect(attention(conversation)?.answered).toBe(true);
    const number = attention(conversation)?.number ?? -1;
    expect(page.tell).toHaveBeenCalledWith({ kind: "answered", turnId: turnId(1), number });
  });

  test("stays open where the answer did not get through", async () => {
    const conversation = await asked();
    server.calls.reply.mockRejectedValueOnce(new ApiError(409, "no_attention", ""));
    await expect(conversation.reply(cellAt(conversation, 0), "a")).rejects.toThrow(ApiError);
    expect(attention(conversation)?.answered).toBe(false);
    expect(page.tell).not.toHaveBeenCalled();
  });

  test("was answered elsewhere: that question, and no later one", async () => {
    const conversation = await asked();
    const number = attention(conversation)?.number ?? -1;
    conversation.answeredElsewhere(turnId(1), number + 1);
    conversation.answeredElsewhere(turnId(2), number);
    expect(attention(conversation)?.answered).toBe(false);
    conversation.answeredElsewhere(turnId(1), number);
    expect(attention(conversation)?.answered).toBe(true);
    streamOf(turnId(1)).send(event.asks("1-6", "And now?"));
    expect(attention(conversation)).toMatchObject({ prompt: "And now?", answered: false });
  });

  test("nothing is sent where nothing is asked", async () => {
    const conversation = await loaded(open(1));
    await conversation.reply(cellAt(conversation, 0), "a");
    expect(server.calls.reply).not.toHaveBeenCalled();
  });
});
