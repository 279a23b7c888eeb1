// @vitest-environment jsdom
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import { UNREADABLE } from "../lib/problem";
import { refuseStorage } from "./testing/browser";
import { chat, server, settle, showing, started, useChat } from "./testing/chats";
import { conversation, failed, open, OTHER_SESSION, row, SESSION, status, turnId } from "./testing/rows";
import { opened, streamOf } from "./testing/streams";
import { anotherUser } from "./testing/tabs";
import { Outbox } from "../lib/outbox";

vi.mock("../lib/stream/share", () => import("./testing/streams"));
vi.mock("./tabs", () => import("./testing/tabs"));
useChat();
beforeEach(() => {
  // A page of jsdom cannot be loaded again, and says so.
  vi.spyOn(console, "error").mockImplementation(() => {});
});

const unauthenticated = () => new ApiError(401, "unauthenticated", "");

describe("it begins", () => {
  test("with a new conversation, where the address names none", async () => {
    server.conversations = [conversation(1)];
    await started();
    expect(chat.status).toEqual(status());
    expect(chat.trouble).toBeNull();
    expect(chat.conversation?.standing).toBe("new");
    expect(chat.list.items).toHaveLength(1);
    expect(location.hash).toBe("");
  });

  test("with the conversation that the address names", async () => {
    await showing(row(1));
    expect(chat.conversation?.sessionId).toBe(SESSION);
    expect(chat.conversation?.standing).toBe("ready");
  });

  test("where somebody else’s address is no conversation", async () => {
    await started("#../../etc/passwd");
    expect(chat.conversation?.standing).toBe("new");
  });

  test.each([
    ["signed-out", unauthenticated()],
    ["not-allowed", new ApiError(404, "not_found", "")],
  ] as const)("%s: nothing is asked again until somebody looks", async (trouble, error) => {
    server.calls.status.mockRejectedValueOnce(error);
    await started();
    expect(chat.trouble).toBe(trouble);
    expect(chat.conversation).toBeNull();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.status).toHaveBeenCalledTimes(1);
    document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    expect(chat.trouble).toBeNull();
    expect(chat.conversation?.standing).toBe("new");
  });

  test.each([
    ["nothing answers", new Unreachable()],
    ["the database does not answer", new ApiError(503, "store_unavailable", "")],
    ["a hotel’s page answers", new ApiError(200, "unreadable", "")],
    ["a proxy refuses", new ApiError(403, "unreadable", "")],
  ])("%s: it tries until the server is back", async (_, error) => {
    server.calls.status.mockRejectedValueOnce(error).mockRejectedValueOnce(error);
    await started();
    expect(chat.trouble).toBe("unreachable");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(server.calls.status).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(chat.trouble).toBeNull();
    expect(chat.conversation?.standing).toBe("new");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("and tries at once when asked to, or when the network is back", async () => {
    const error = new Unreachable();
    server.calls.status.mockRejectedValueOnce(error).mockRejectedValueOnce(error);
    await started();
    chat.tryNow();
    await settle();
    expect(server.calls.status).toHaveBeenCalledTimes(2);
    dispatchEvent(new Event("online"));
    await settle();
    expect(chat.trouble).toBeNull();
    expect(server.calls.status).toHaveBeenCalledTimes(3);
  });

  test("where storage is refused, too", async () => {
    refuseStorage();
    await started();
    expect(chat.conversation?.standing).toBe("new");
    chat.ask("Hello");
    await settle();
    expect(chat.conversation?.cells[0]?.view.phase).toBe("starting");
  });

  test("and ends with everything that it began", async () => {
    server.calls.status.mockRejectedValueOnce(new Unreachable());
    await started();
    chat.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    dispatchEvent(new Event("online"));
    await settle();
    expect(server.calls.status).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("while it is open", () => {
  test("a server that is gone and comes back is asked what happened meanwhile", async () => {
    await showing(row(1));
    server.calls.status.mockRejectedValueOnce(new Unreachable());
    await chat.readStatus();
    expect(chat.trouble).toBe("unreachable");
    server.rows = [row(1), row(2)];
    await vi.advanceTimersByTimeAsync(10_000);
    expect(chat.trouble).toBeNull();
    expect(chat.conversation?.cells).toHaveLength(2);
  });

  test("a turn whose stream something else answered for is followed again once the server answers", async () => {
    await showing(open(1));
    const foreign = new ApiError(200, UNREADABLE, "");
    streamOf(turnId(1)).end({ how: "refused", error: foreign });
    await settle();
    expect(chat.trouble).toBe("unreachable");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(chat.trouble).toBeNull();
    expect(streamOf(turnId(1)).isOpen).toBe(true);
  });

  test("one request that always fails does not make it ask without a pause", async () => {
    server.calls.history.mockRejectedValue(new ApiError(503, "store_unavailable", ""));
    await started(`#${SESSION}`);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(server.calls.history.mock.calls.length).toBeGreaterThan(1);
    expect(server.calls.history.mock.calls.length).toBeLessThan(10);
    expect(server.calls.status.mock.calls.length).toBeLessThan(10);
  });

  test("a request that the server has a fault with is not the server's absence", async () => {
    server.calls.history.mockRejectedValueOnce(new ApiError(500, "internal", ""));
    await started(`#${SESSION}`);
    expect(chat.conversation?.standing).toBe("failed");
    expect(chat.trouble).toBeNull();
  });

  test("a conversation that cannot be loaded is, when it can", async () => {
    server.calls.history.mockRejectedValueOnce(new Unreachable());
    server.rows = [row(1)];
    await started(`#${SESSION}`);
    expect(chat.conversation?.standing).toBe("unreachable");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(chat.conversation?.standing).toBe("ready");
  });

  test.each([
    ["the reader", () => document.dispatchEvent(new Event("visibilitychange"))],
    ["the network", () => dispatchEvent(new Event("online"))],
    ["the server", () => chat.tryNow()],
  ])("a late answer is looked for at once when %s is back", async (_, comesBack) => {
    server.hope = "pending";
    await showing(failed(1, "timeout"));
    await vi.advanceTimersByTimeAsync(20_000);
    server.calls.recover.mockClear();
    comesBack();
    await settle();
    expect(server.calls.recover).toHaveBeenCalledTimes(1);
  });

  test("who is signed out keeps what is shown, and goes on after signing in", async () => {
    await showing(row(1));
    server.calls.ask.mockRejectedValueOnce(unauthenticated());
    chat.ask("Hello");
    await settle();
    expect(chat.trouble).toBe("signed-out");
    expect(chat.conversation?.cells).toHaveLength(2);
    document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    expect(chat.trouble).toBeNull();
    expect(chat.conversation?.cells[1]?.view.phase).toBe("starting");
  });

  test("a network that is gone is news where the server, which may be on this machine, is gone, too", async () => {
    await started();
    const network = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    dispatchEvent(new Event("offline"));
    await settle();
    expect([chat.offline, chat.trouble]).toEqual([false, null]);
    server.calls.status.mockRejectedValueOnce(new Unreachable());
    dispatchEvent(new Event("offline"));
    await settle();
    expect([chat.offline, chat.trouble]).toEqual([true, "unreachable"]);
    network.mockReturnValue(true);
    dispatchEvent(new Event("online"));
    await settle();
    expect([chat.offline, chat.trouble]).toEqual([false, null]);
  });

  test("somebody else who signs in gets nothing of this page", async () => {
    await showing(row(1), open(2));
    server.status = status({ user: { email: "bob@example.org", role: "user" } });
    document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    expect(opened(turnId(2)).some((stream) => stream.isOpen)).toBe(false);
    expect(chat.status?.user.email).toBe("ada@example.org");
    const asked = server.calls.status.mock.calls.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.status).toHaveBeenCalledTimes(asked);
  });

  test("a message that waits is not sent for them", async () => {
    await showing(row(1));
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    chat.ask("Hello");
    server.status = status({ user: { email: "bob@example.org", role: "user" } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.ask).toHaveBeenCalledTimes(1);
    expect(new Outbox(localStorage, "ada@example.org").all()).toHaveLength(1);
  });

  test("nor where another tab is the first to know", async () => {
    await showing(open(1));
    anotherUser();
    expect(opened(turnId(1)).some((stream) => stream.isOpen)).toBe(false);
  });

  test("a hidden page asks for nothing", async () => {
    await started();
    const asked = server.calls.status.mock.calls.length;
    vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    expect(server.calls.status).toHaveBeenCalledTimes(asked);
  });
});

describe("the address", () => {
  test("gets the conversation with its first question", async () => {
    await started();
    const sessionId = chat.conversation?.sessionId;
    chat.ask("Hello");
    await settle();
    expect(location.hash).toBe(`#${sessionId}`);
    expect(chat.conversation?.sessionId).toBe(sessionId);
    expect(chat.conversation?.cells).toHaveLength(1);
  });

  test("leads from one conversation to another, and back", async () => {
    server.rows = [row(1), row(2, { session_id: OTHER_SESSION })];
    await started(`#${SESSION}`);
    chat.show(OTHER_SESSION);
    await settle();
    expect(chat.conversation?.cells.map(({ view }) => view.message)).toEqual(["question 2"]);
    location.hash = SESSION;
    await settle();
    expect(chat.conversation?.cells.map(({ view }) => view.message)).toEqual(["question 1"]);
    location.hash = "";
    await settle();
    expect(chat.conversation?.standing).toBe("new");
  });

  test("is gone with what is deleted, and so is what was written there", async () => {
    await showing(row(1));
    chat.drafts.write(SESSION, "half a question");
    chat.drafts.write(null, "another");
    await chat.remove(SESSION);
    expect(location.hash).toBe("");
    expect([chat.drafts.read(SESSION), chat.drafts.read(null)]).toEqual(["", "another"]);
  });

  test("is empty again where the only message is given up", async () => {
    await started();
    server.calls.ask.mockRejectedValueOnce(new Unreachable());
    chat.ask("Hello");
    await settle();
    const cell = chat.conversation?.cells[0];
    if (cell) chat.discard(cell);
    expect(location.hash).toBe("");
    expect(chat.conversation?.standing).toBe("new");
  });

  test("is empty for a new conversation", async () => {
    await showing(row(1));
    const before = chat.conversation;
    chat.begin();
    await settle();
    expect(location.hash).toBe("");
    expect(chat.conversation).not.toBe(before);
    expect(chat.conversation?.standing).toBe("new");
  });

  test("that is shown already changes nothing", async () => {
    await showing(row(1));
    const before = chat.conversation;
    chat.show(SESSION);
    dispatchEvent(new Event("hashchange"));
    await settle();
    expect(chat.conversation).toBe(before);
  });
});
