import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import type { Conversation } from "../lib/wire";
import { ConversationList } from "./list.svelte";
import { conversation } from "./testing/rows";
import { Server, slow } from "./testing/server";

let server: Server;
let list: ConversationList;

beforeEach(() => {
  server = new Server();
  list = new ConversationList(server.api);
});

const titles = (items: readonly Conversation[] | null) => items?.map(({ title }) => title) ?? null;
/** So many conversations, the newest first. */
const many = (count: number) => Array.from({ length: count }, (_, at) => conversation(count - at));

describe("reading", () => {
  test("shows nothing before the server answered", async () => {
    server.conversations = many(2);
    expect(list.shown).toBeNull();
    await list.refresh();
    expect(titles(list.shown)).toEqual(["conversation 2", "conversation 1"]);
    expect(list.hasMore).toBe(false);
  });

  test("many calls at once are two requests, and the second one's answer is shown", async () => {
    const first = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(first.promise);
    server.conversations = many(3);
    const calls = [list.refresh(), list.refresh(), list.refresh(), list.refresh()];
    first.resolve(many(1));
    await Promise.all(calls);
    expect(server.calls.conversations).toHaveBeenCalledTimes(2);
    expect(list.items).toHaveLength(3);
  });

  test.each([
    ["unreachable", new Unreachable()],
    ["failed", new ApiError(500, "internal", "")],
  ] as const)("says that it is %s, and keeps what it has", async (failed, error) => {
    server.conversations = many(1);
    await list.refresh();
    server.calls.conversations.mockRejectedValueOnce(error);
    await list.refresh();
    expect(list.failed).toBe(failed);
    expect(list.items).toHaveLength(1);
    await list.refresh();
    expect(list.failed).toBeNull();
  });
});

describe("more", () => {
  beforeEach(async () => {
    server.conversations = many(120);
    await list.refresh();
  });

  test("comes after the last one, page by page", async () => {
    expect(list.hasMore).toBe(true);
    await list.more();
    expect(list.items).toHaveLength(100);
    expect(list.hasMore).toBe(true);
    await list.more();
    expect(list.items).toEqual(server.conversations);
    expect(list.hasMore).toBe(false);
  });

  test("is still there after a refresh", async () => {
    await list.more();
    await list.refresh();
    expect(list.items).toHaveLength(100);
    expect(list.hasMore).toBe(true);
  });

  test("asked for twice comes once", async () => {
    await Promise.all([list.more(), list.more()]);
    expect(list.items).toEqual(server.conversations.slice(0, 100));
  });

  test("what became the latest meanwhile is there once", async () => {
    const page = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(page.promise);
    const more = list.more();
    const [moved] = server.conversations.slice(60, 61);
    if (!moved) throw new Error("no such conversation");
    const latest = { ...moved, last_turn_id: conversation(500).last_turn_id };
    const old = server.conversations;
    server.conversations = [latest, ...old.filter((item) => item !== moved)];
    const refreshed = list.refresh();
    page.resolve(old.slice(50, 100));
    await Promise.all([more, refreshed]);
    await vi.waitFor(() => expect(list.items?.[0]).toEqual(latest));
    const ids = list.items?.map(({ session_id }) => session_id) ?? [];
    expect(ids).toHaveLength(100);
    expect(new Set(ids).size).toBe(100);
  });

  test("fails silently: its button stays", async () => {
    server.calls.conversations.mockRejectedValueOnce(new Unreachable());
    await list.more();
    expect(list.items).toHaveLength(50);
    expect(list.hasMore).toBe(true);
    await list.more();
    expect(list.items).toHaveLength(100);
  });

  test("is nothing where there is nothing yet", async () => {
    await new ConversationList(server.api).more();
    expect(server.calls.conversations).toHaveBeenCalledTimes(1);
  });
});

describe("searching", () => {
  beforeEach(async () => {
    vi.useFakeTimers();
    server.conversations = [conversation(3, { title: "Fristen" }), conversation(2), conversation(1)];
    await list.refresh();
    server.calls.conversations.mockClear();
  });
  afterEach(() => vi.useRealTimers());

  const searched = () => server.calls.conversations.mock.calls.map(([query]) => query?.search);

  test("finds titles that are here at once, whatever their case", () => {
    list.searchFor(" FRIST ");
    expect(titles(list.shown)).toEqual(["Fristen"]);
    expect(server.calls.conversations).not.toHaveBeenCalled();
  });

  test("asks the server when typing pauses, and puts both together, newest first", async () => {
    for (const text of ["f", "fr", "fri"]) list.searchFor(text);
    server.calls.conversations.mockResolvedValueOnce([conversation(9, { title: "by its text" })]);
    await vi.advanceTimersByTimeAsync(200);
    expect(searched()).toEqual(["fri"]);
    expect(titles(list.shown)).toEqual(["by its text", "Fristen"]);
  });

  test("takes what both know from the server", async () => {
    list.searchFor("fri");
    server.calls.conversations.mockResolvedValueOnce([conversation(3, { title: "Fristen", open_turns: 1 })]);
    await vi.advanceTimersByTimeAsync(200);
    expect(list.shown).toEqual([conversation(3, { title: "Fristen", open_turns: 1 })]);
  });

  test("the late answer of an older search is not shown", async () => {
    const old = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(old.promise);
    list.searchFor("old");
    await vi.advanceTimersByTimeAsync(200);
    const now = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(now.promise);
    list.searchFor("conversation 1");
    await vi.advanceTimersByTimeAsync(200);
    old.resolve([conversation(7, { title: "old" })]);
    await vi.advanceTimersByTimeAsync(0);
    expect(list.searching).toBe(true);
    now.resolve([]);
    await vi.advanceTimersByTimeAsync(0);
    expect(list.searching).toBe(false);
    expect(titles(list.shown)).toEqual(["conversation 1"]);
  });

  test("nor where the search was emptied", async () => {
    const old = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(old.promise);
    list.searchFor("old");
    await vi.advanceTimersByTimeAsync(200);
    const [, signal] = server.calls.conversations.mock.lastCall ?? [];
    list.searchFor("  ");
    expect(signal?.aborted).toBe(true);
    old.resolve([conversation(7, { title: "old" })]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(list.found).toBeNull();
    expect(list.searching).toBe(false);
    expect(list.shown).toBe(list.items);
    expect(searched()).toEqual(["old"]);
  });

  test("where the server does not answer, what is here stays", async () => {
    server.calls.conversations.mockRejectedValueOnce(new Unreachable());
    list.searchFor("fri");
    expect(list.searching).toBe(true);
    await vi.advanceTimersByTimeAsync(200);
    expect(titles(list.shown)).toEqual(["Fristen"]);
    expect(list.searching).toBe(false);
  });

  test("a title is renamed, and a conversation dropped, in what was found, too", () => {
    list.searchFor("conversation");
    list.rename(conversation(2, { title: "renamed" }));
    list.drop(conversation(1).session_id);
    expect(titles(list.found)).toEqual(["renamed"]);
    expect(titles(list.items)).toEqual(["Fristen", "renamed"]);
    expect(list.titleOf(conversation(2).session_id)).toBe("renamed");
    expect(list.titleOf(conversation(1).session_id)).toBe("");
  });
});

test("what is found alone has a title, too", async () => {
  vi.useFakeTimers();
  try {
    server.conversations = [conversation(1, { title: "only there" })];
    list.searchFor("only");
    await vi.advanceTimersByTimeAsync(200);
    expect(list.items).toBeNull();
    expect(list.titleOf(conversation(1).session_id)).toBe("only there");
  } finally {
    vi.useRealTimers();
  }
});

describe("an answer that was on its way", () => {
  /** A refresh whose answer is from before something was done. Gives every title that was shown after that. */
  async function during(act: () => void): Promise<string[]> {
    server.conversations = many(2);
    await list.refresh();
    const old = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(old.promise);
    const refreshed = list.refresh();
    act();
    const now = slow<Conversation[]>();
    server.calls.conversations.mockReturnValueOnce(now.promise);
    const seen = [titles(list.items)];
    old.resolve(many(2));
    await vi.waitFor(() => expect(server.calls.conversations).toHaveBeenCalledTimes(3));
    seen.push(titles(list.items));
    now.resolve(server.conversations);
    await refreshed;
    seen.push(titles(list.items));
    return seen.map((titles) => titles?.join(", ") ?? "nothing");
  }

  test("does not bring a deleted conversation back", async () => {
    const seen = await during(() => {
      server.conversations = server.conversations.slice(0, 1);
      list.drop(conversation(1).session_id);
    });
    expect(new Set(seen)).toEqual(new Set(["conversation 2"]));
  });

  test("does not bring an old title back", async () => {
    const seen = await during(() => {
      const renamed = conversation(1, { title: "renamed" });
      server.conversations = [conversation(2), renamed];
      list.rename(renamed);
    });
    expect(new Set(seen)).toEqual(new Set(["conversation 2, renamed"]));
  });
});
