import { beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import type { TurnRow } from "../lib/wire";
import { PAGE } from "./conversation.svelte";
import {
  begin,
  cellAt,
  loaded,
  page,
  rows,
  server,
  settle,
  shown,
  useConversations,
} from "./testing/conversations";
import { event, failed, open, row, turnId } from "./testing/rows";
import { slow } from "./testing/server";
import { opened, streamOf } from "./testing/streams";

vi.mock("../lib/stream/share", () => import("./testing/streams"));
useConversations();

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
    const conversation = begin({ isNew: true });
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

describe("a server that gives less than was asked for, since the turns are long", () => {
  const long = "x".repeat(300_000);

  beforeEach(() => {
    server.calls.history.mockImplementation(async (_, { before, limit = 50 } = {}) => {
      const older = server.rows.filter(({ turn_id }) => before === undefined || turn_id < before);
      return older.slice(-Math.min(limit, 4));
    });
  });

  test("is asked for the rest", async () => {
    const conversation = await loaded(...rows(1, 6).map((one) => ({ ...one, response: long })));
    expect(conversation.cells).toHaveLength(4);
    expect(conversation.hasEarlier).toBe(true);
    await conversation.loadEarlier();
    expect(conversation.cells).toHaveLength(6);
    expect(conversation.hasEarlier).toBe(false);
  });

  test("is asked for everything", async () => {
    const conversation = await loaded(...rows(1, 10));
    expect(await conversation.everything()).toEqual(server.rows);
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

  test("is left when the conversation is", async () => {
    server.hope = "pending";
    const conversation = await loaded(open(1), failed(2, "timeout"));
    const looks = server.calls.recover.mock.calls.length;
    conversation.close();
    expect(streamOf.bind(null, turnId(1))).toThrow("0 open streams");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.turn).not.toHaveBeenCalled();
    expect(server.calls.recover).toHaveBeenCalledTimes(looks);
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

  test("does not take a conversation for gone whose first turn was accepted meanwhile", async () => {
    const conversation = begin({ isNew: true });
    const history = slow<TurnRow[]>();
    server.calls.history.mockReturnValueOnce(history.promise);
    conversation.ask("Hello");
    const refreshed = conversation.refresh();
    await settle();
    expect(shown(conversation)).toEqual(["starting: Hello"]);
    history.resolve([]);
    await refreshed;
    expect(conversation.standing).toBe("ready");
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
