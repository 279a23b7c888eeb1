import { Sender } from "./sender";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import { Outbox } from "../lib/outbox";
import type { Accepted, TurnRow } from "../lib/wire";
import { Conversation, PAGE } from "./conversation.svelte";
import type { Services } from "./services";
import { at, event, failed, open, OTHER_SESSION, row, SESSION, turnId } from "./testing/rows";
import { Server, slow } from "./testing/server";
import { forgetStreams, opened, streamOf } from "./testing/streams";

vi.mock("../lib/stream/share", () => import("./testing/streams"));

let server: Server;
let outbox: Outbox;
/** What the page around it was told. */
let page: {
  [Name in "tell" | "listChanged" | "happened" | "trouble"]: ReturnType<typeof vi.fn<Services[Name]>>;
};
let conversations: Conversation[];
const isSameUser = vi.fn<() => Promise<boolean>>();

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(100)) });
  localStorage.clear();
  forgetStreams();
  server = new Server();
  outbox = new Outbox(localStorage, "ada@example.org");
  page = { tell: vi.fn(), listChanged: vi.fn(), happened: vi.fn(), trouble: vi.fn() };
  conversations = [];
  isSameUser.mockReset().mockResolvedValue(true);
});
afterEach(() => {
  for (const conversation of conversations) conversation.close();
  vi.useRealTimers();
});

function begin(begun = true, sessionId = SESSION): Conversation {
  const conversation = new Conversation(
    {
      api: server.api,
      outbox,
      sender: new Sender("ada@example.org"),
      isSameUser,
      ...page,
    },
    sessionId,
    begun,
  );
  conversations.push(conversation);
  return conversation;
}

/** Lets everything happen that waits for nothing but other promises. */
const settle = () => vi.advanceTimersByTimeAsync(0);

async function loaded(...rows: TurnRow[]): Promise<Conversation> {
  server.rows = rows;
  const conversation = begin();
  await settle();
  return conversation;
}

const shown = (conversation: Conversation) =>
  conversation.cells.map(({ view }) => `${view.phase}: ${view.message}`);
const cellAt = (conversation: Conversation, index: number) => {
  const cell = conversation.cells.at(index);
  if (!cell) throw new Error(`no turn at ${index}`);
  return cell;
};
const rows = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, offset) => row(from + offset));

describe("loading", () => {
  test("shows what the server has, oldest first", async () => {
    server.rows = [row(1), failed(2, "agent_died")];
    const conversation = begin();
    expect(conversation.standing).toBe("loading");
    expect(conversation.cells).toEqual([]);
    await settle();
    expect(conversation.standing).toBe("ready");
    expect(shown(conversation)).toEqual(["done: question 1", "failed: question 2"]);
    expect(conversation.hasEarlier).toBe(false);
    expect(opened()).toEqual([]);
  });

  test("one that nobody has asked anything in is not asked for", async () => {
    const conversation = begin(false);
    await settle();
    expect(conversation.standing).toBe("new");
    await conversation.refresh();
    expect(server.calls.history).not.toHaveBeenCalled();
  });

  test.each([
    ["missing", [] as TurnRow[]],
    ["unreachable", new Unreachable()],
    ["failed", new ApiError(500, "internal", "")],
  ] as const)("ends %s", async (standing, answer) => {
    if (answer instanceof Error) server.calls.history.mockRejectedValueOnce(answer);
    const conversation = begin();
    await settle();
    expect(conversation.standing).toBe(standing);
    expect(page.trouble).toHaveBeenCalledTimes(answer instanceof Error ? 1 : 0);
    server.rows = [row(1)];
    await conversation.refresh();
    expect(conversation.standing).toBe("ready");
  });

  test("earlier turns come page by page", async () => {
    const conversation = await loaded(...rows(1, 2 * PAGE + 5));
    expect(conversation.cells).toHaveLength(PAGE);
    expect(conversation.hasEarlier).toBe(true);
    const newest = cellAt(conversation, -1);
    await Promise.all([conversation.loadEarlier(), conversation.loadEarlier()]);
    expect(conversation.cells).toHaveLength(2 * PAGE);
    await conversation.loadEarlier();
    expect(shown(conversation)).toEqual(rows(1, 2 * PAGE + 5).map((one) => `done: ${one.user_message}`));
    expect(conversation.hasEarlier).toBe(false);
    expect(cellAt(conversation, -1)).toBe(newest);
    await conversation.loadEarlier();
    expect(server.calls.history).toHaveBeenCalledTimes(3);
  });

  test("earlier turns that do not come can be asked for again", async () => {
    const conversation = await loaded(...rows(1, PAGE + 1));
    server.calls.history.mockRejectedValueOnce(new Unreachable());
    await conversation.loadEarlier();
    expect(page.trouble).toHaveBeenCalledTimes(1);
    expect(conversation.loadingEarlier).toBe(false);
    await conversation.loadEarlier();
    expect(conversation.cells).toHaveLength(PAGE + 1);
  });

  test("everything is read for an export, however long it is", async () => {
    const conversation = await loaded(...rows(1, 450));
    expect(await conversation.everything()).toEqual(server.rows);
    server.rows = rows(1, 400);
    expect(await conversation.everything()).toHaveLength(400);
    server.calls.history.mockRejectedValueOnce(new Unreachable());
    await expect(conversation.everything()).rejects.toThrow(Unreachable);
  });
});

describe("an open turn", () => {
  test("is followed, and every event is told", async () => {
    const conversation = await loaded(row(1), open(2));
    const cell = cellAt(conversation, 1);
    expect(opened()).toHaveLength(1);
    expect(conversation.isBusy).toBe(true);
    expect(conversation.current).toBe(cell);
    const stream = streamOf(turnId(2));
    expect(stream.options.url).toBe(`/api/paliadin/stream/${turnId(2)}`);
    stream.send(event.meta("1-1", 2), event.content("1-2", "half "), event.content("1-3", "an answer"));
    expect(cell.view).toMatchObject({ phase: "answering", text: "half an answer", cursor: "1-3" });
    expect(page.happened).toHaveBeenCalledTimes(3);
    expect(page.happened.mock.lastCall?.[2].text).toBe("half ");
  });

  test("says when its connection is broken", async () => {
    const conversation = await loaded(open(1));
    const stream = streamOf(turnId(1));
    stream.link("waiting");
    expect(cellAt(conversation, 0).reconnecting).toBe(true);
    stream.link("live");
    expect(cellAt(conversation, 0).reconnecting).toBe(false);
    stream.link("waiting");
    stream.end({ how: "refused", error: new ApiError(404, "not_found", "") });
    await settle();
    expect(cellAt(conversation, 0).reconnecting).toBe(false);
  });

  test("is read once more when it is over: the row is the record", async () => {
    const conversation = await loaded(open(1));
    const stream = streamOf(turnId(1));
    stream.send(event.content("1-1", "all"), event.end("1-2", 1));
    server.set(1, row(1, { response: "all", used_tools: ["sql"] }));
    stream.end();
    await settle();
    expect(cellAt(conversation, 0).view).toMatchObject({ phase: "done", text: "all", usedTools: ["sql"] });
    expect(page.listChanged).toHaveBeenCalledTimes(1);
    expect(conversation.isBusy).toBe(false);
    expect(opened()).toHaveLength(1);
  });

  test("whose end was missed has it from the row, and that is told", async () => {
    const conversation = await loaded(open(1));
    server.set(1, row(1));
    streamOf(turnId(1)).end({ how: "nothing" });
    await settle();
    expect(cellAt(conversation, 0).view.phase).toBe("done");
    expect(page.happened).toHaveBeenCalledTimes(1);
    expect(page.happened.mock.lastCall?.[2].phase).toBe("starting");
  });

  test("whose stream is refused is tried again by the next refresh, not before", async () => {
    const conversation = await loaded(open(1));
    streamOf(turnId(1)).end({ how: "refused", error: new ApiError(503, "store_unavailable", "") });
    await settle();
    expect(page.trouble).toHaveBeenCalledTimes(1);
    expect(opened()).toHaveLength(1);
    await conversation.refresh();
    expect(opened()).toHaveLength(2);
  });

  test("goes on from its last event", async () => {
    const conversation = await loaded(open(1));
    streamOf(turnId(1)).send(event.content("1-7", "half"));
    streamOf(turnId(1)).end({ how: "refused", error: new ApiError(503, "store_unavailable", "") });
    await settle();
    await conversation.refresh();
    expect(streamOf(turnId(1)).options.cursor).toBe("1-7");
  });

  test("that failed is looked for, where its answer may be late", async () => {
    const conversation = await loaded(failed(1, "timeout"), failed(2, "agent_died"));
    expect(cellAt(conversation, 0).lookingForLate).toBe(true);
    expect(cellAt(conversation, 1).lookingForLate).toBe(false);
    server.set(1, row(1, { response: "late", late: true }));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(cellAt(conversation, 0).view).toMatchObject({ phase: "done", text: "late", late: true });
    expect(cellAt(conversation, 0).lookingForLate).toBe(false);
  });

  test("is left when the conversation is", async () => {
    const conversation = await loaded(open(1), failed(2, "timeout"));
    const reads = server.calls.turn.mock.calls.length;
    conversation.close();
    expect(streamOf.bind(null, turnId(1))).toThrow("0 open streams");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.turn).toHaveBeenCalledTimes(reads);
    expect(page.trouble).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("refreshing", () => {
  test("keeps what was streamed, and each turn's cell", async () => {
    const conversation = await loaded(row(1), open(2));
    const before = conversation.cells;
    streamOf(turnId(2)).send(event.content("1-1", "half"));
    server.rows = [row(1), open(2), row(3)];
    await conversation.refresh();
    expect(shown(conversation)).toEqual(["done: question 1", "answering: question 2", "done: question 3"]);
    expect(conversation.cells.slice(0, 2)).toEqual(before);
    expect(cellAt(conversation, 1).view.text).toBe("half");
    expect(opened()).toHaveLength(1);
  });

  test("follows what was asked elsewhere", async () => {
    const conversation = await loaded(row(1));
    server.rows = [row(1), open(2)];
    await conversation.refresh();
    expect(streamOf(turnId(2)).isOpen).toBe(true);
  });

  test("keeps earlier pages where the new ones follow them", async () => {
    const conversation = await loaded(...rows(1, PAGE + 10));
    await conversation.loadEarlier();
    server.rows = rows(1, PAGE + 20);
    await conversation.refresh();
    expect(conversation.cells).toHaveLength(PAGE + 20);
    expect(conversation.hasEarlier).toBe(false);
  });

  test("begins anew after a gap of more than a page", async () => {
    const conversation = await loaded(...rows(1, 10));
    server.rows = rows(1, 10 + PAGE + 5);
    await conversation.refresh();
    expect(shown(conversation)[0]).toBe("done: question 16");
    expect(conversation.cells).toHaveLength(PAGE);
    expect(conversation.hasEarlier).toBe(true);
    await conversation.loadEarlier();
    expect(shown(conversation)).toEqual(server.rows.map((one) => `done: ${one.user_message}`));
  });

  test("does not put an earlier page before a gap", async () => {
    const conversation = await loaded(...rows(1, PAGE + 10));
    const page = slow<TurnRow[]>();
    server.calls.history.mockReturnValueOnce(page.promise);
    const earlier = conversation.loadEarlier();
    const before = server.rows.slice(0, 10);
    server.rows = rows(1, 3 * PAGE);
    await conversation.refresh();
    page.resolve(before);
    await earlier;
    expect(shown(conversation)[0]).toBe(`done: question ${2 * PAGE + 1}`);
    expect(conversation.hasEarlier).toBe(true);
  });

  test("says that it is gone", async () => {
    const conversation = await loaded(row(1));
    server.rows = [];
    await conversation.refresh();
    expect(conversation.standing).toBe("missing");
  });

  test("that fails leaves everything as it is", async () => {
    const conversation = await loaded(row(1));
    const error = new Unreachable();
    server.calls.history.mockRejectedValueOnce(error);
    await conversation.refresh();
    expect(conversation.standing).toBe("ready");
    expect(shown(conversation)).toEqual(["done: question 1"]);
    expect(page.trouble).toHaveBeenCalledWith(error);
  });

  test("another tab's turn is learnt, and one that cannot be read is no trouble", async () => {
    const conversation = await loaded(row(1));
    server.rows = [row(1), open(2)];
    await conversation.learn(turnId(2));
    expect(shown(conversation)).toEqual(["done: question 1", "starting: question 2"]);
    expect(streamOf(turnId(2)).isOpen).toBe(true);
    await conversation.learn(turnId(3));
    expect(page.trouble).not.toHaveBeenCalled();
  });
});

describe("asking", () => {
  test("shows the question at once, and follows it when it is accepted", async () => {
    const conversation = begin(false);
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

  test("a message that has to wait holds up those behind it", async () => {
    const conversation = await loaded(row(1));
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    conversation.ask("first");
    conversation.ask("second");
    await settle();
    expect(shown(conversation)).toEqual(["done: question 1", "unsent: first", "unsent: second"]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown(conversation)).toEqual(["done: question 1", "starting: first", "starting: second"]);
    const asked = server.calls.ask.mock.calls.map(([ask]) => ask.user_message);
    expect(asked).toEqual(["first", "first", "second"]);
  });

  test("one that waited is not sent in the name of somebody else", async () => {
    const conversation = await loaded(row(1));
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    isSameUser.mockResolvedValue(false);
    conversation.ask("first");
    await settle();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
    expect(cellAt(conversation, 1).held).toBe("signed-out");
  });

  test.each([
    ["no server answers", new Unreachable(), "offline"],
    ["too many wait", new ApiError(429, "queue_full", "", true, 5_000), "full"],
  ] as const)("waits where %s", async (_, error, held) => {
    const conversation = begin(false);
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
    const conversation = begin(false);
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
    const conversation = begin(false);
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
    expect(server.calls.reply).toHaveBeenCalledWith(turnId(1), attention(conversation)?.id, "a");
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

test("a conversation that is left asks for nothing and says nothing", async () => {
  const history = slow<TurnRow[]>();
  server.calls.history.mockReturnValueOnce(history.promise);
  const conversation = begin();
  conversation.close();
  expect(server.calls.history.mock.lastCall?.[2]?.aborted).toBe(true);
  history.reject(new Unreachable());
  await settle();
  expect(page.trouble).not.toHaveBeenCalled();
  expect(opened()).toEqual([]);
});
