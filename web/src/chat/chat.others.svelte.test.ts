// @vitest-environment jsdom
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import { Outbox } from "../lib/outbox";
import { notify } from "./notify";
import { chat, server, settle, showing, started, useChat } from "./testing/chats";
import {
  agent,
  at,
  conversation,
  event,
  failed,
  open,
  OTHER_SESSION,
  row,
  SESSION,
  status,
  turnId,
} from "./testing/rows";
import { opened, streamOf } from "./testing/streams";
import { hear, told } from "./testing/tabs";

vi.mock("../lib/stream/share", () => import("./testing/streams"));
vi.mock("./tabs", () => import("./testing/tabs"));
vi.mock("./notify", async (original) => ({
  ...(await original<typeof import("./notify")>()),
  notify: vi.fn(async () => {}),
}));
useChat();
beforeEach(() => void vi.mocked(notify).mockClear());

describe("another conversation is looked at", () => {
  test("one in which something runs goes on, and is the same when one comes back", async () => {
    await showing(open(1));
    const before = chat.conversation;
    chat.show(OTHER_SESSION);
    await settle();
    streamOf(turnId(1)).send(event.content("1-1", "half"));
    chat.show(SESSION);
    await settle();
    expect(chat.conversation).toBe(before);
    expect(chat.conversation?.cells[0]?.view.text).toBe("half");
    // What came while nobody looked is not typed out.
    expect(chat.conversation?.cells[0]?.watched).toBe(false);
    expect(opened()).toHaveLength(1);
  });

  test("one that is over while nobody looks is closed, and tells all the same", async () => {
    await showing(open(1));
    const before = chat.conversation;
    chat.begin();
    streamOf(turnId(1)).send(event.end("1-1", 1));
    expect(opened(turnId(1)).some((stream) => stream.isOpen)).toBe(false);
    expect(vi.mocked(notify)).toHaveBeenCalledTimes(1);
    chat.show(SESSION);
    await settle();
    expect(chat.conversation).not.toBe(before);
  });

  test("one in which nothing runs is left", async () => {
    await showing(failed(1, "timeout"));
    chat.begin();
    await settle();
    const reads = server.calls.turn.mock.calls.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.turn).toHaveBeenCalledTimes(reads);
  });

  test("what an earlier page did not get rid of is sent, wherever it belongs", async () => {
    const left = { user_message: "left", session_id: OTHER_SESSION, client_turn_id: "client-9" };
    new Outbox(localStorage, "ada@example.org").put(left);
    await started();
    expect(server.calls.ask.mock.calls.map(([ask]) => ask)).toEqual([left]);
    chat.show(OTHER_SESSION);
    await settle();
    expect(chat.conversation?.cells.map(({ view }) => view.message)).toEqual(["left"]);
    expect(opened()).toHaveLength(1);
  });
});

describe("other tabs", () => {
  test("tell of a turn here", async () => {
    await showing(row(1));
    server.rows = [row(1), open(2)];
    const lists = server.calls.conversations.mock.calls.length;
    hear({ kind: "turn", sessionId: SESSION, turnId: turnId(2) });
    await settle();
    expect(streamOf(turnId(2)).isOpen).toBe(true);
    expect(server.calls.conversations).toHaveBeenCalledTimes(lists + 1);
  });

  test("tell of a turn that belongs elsewhere", async () => {
    await showing(row(1));
    hear({ kind: "turn", sessionId: OTHER_SESSION, turnId: turnId(2) });
    await settle();
    expect(server.calls.turn).not.toHaveBeenCalled();
    expect(chat.conversation?.cells).toHaveLength(1);
  });

  test("tell of a new title", async () => {
    await started();
    server.conversations = [conversation(1)];
    hear({ kind: "conversations" });
    await settle();
    expect(chat.list.items).toHaveLength(1);
  });

  test("delete what is shown here", async () => {
    server.conversations = [conversation(1, { session_id: SESSION })];
    await showing(open(1));
    hear({ kind: "deleted", sessionId: SESSION });
    expect(chat.conversation?.standing).toBe("new");
    expect(location.hash).toBe("");
    expect(chat.list.items).toEqual([]);
    expect(opened(turnId(1)).some((stream) => stream.isOpen)).toBe(false);
    expect(told).toEqual([]);
  });

  test("answer what the agent asks, in whichever conversation", async () => {
    await showing(open(1));
    const asking = chat.conversation;
    streamOf(turnId(1)).send(event.asks("1-1", "Which one?"));
    const attention = () => asking?.cells[0]?.view.attention;
    chat.begin();
    hear({ kind: "answered", turnId: turnId(1), number: attention()?.number ?? -1 });
    expect(attention()?.answered).toBe(true);
  });

  test("look for a late answer", async () => {
    server.hope = "pending";
    await showing(failed(1, "timeout"));
    expect(told.map(({ kind }) => kind)).toEqual(["recovery"]);
    const turn = chat.conversation?.cells[0];
    const answer = { ...row(1, { late: true }), recovery_state: "recovered" } as const;
    hear({ kind: "recovery", sessionId: OTHER_SESSION, answer });
    expect(turn?.view.phase).toBe("failed");
    hear({ kind: "recovery", sessionId: SESSION, answer });
    expect(turn?.view).toMatchObject({ phase: "done", late: true });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.calls.recover).toHaveBeenCalledTimes(1);
  });

  test("hear what is renamed, deleted and asked", async () => {
    server.conversations = [conversation(1, { session_id: SESSION })];
    await showing(row(1));
    await chat.rename(SESSION, "A new title");
    expect(chat.list.titleOf(SESSION)).toBe("A new title");
    chat.ask("Hello");
    await settle();
    await chat.remove(SESSION);
    expect(told).toEqual([
      { kind: "conversations" },
      { kind: "turn", sessionId: SESSION, turnId: turnId(2) },
      { kind: "conversations" },
      { kind: "deleted", sessionId: SESSION },
    ]);
  });

  test("hear nothing of what did not work", async () => {
    await showing(row(1));
    server.calls.remove.mockRejectedValueOnce(new Unreachable());
    await expect(chat.remove(SESSION)).rejects.toThrow(Unreachable);
    await expect(chat.rename(SESSION, "x")).rejects.toThrow(ApiError);
    expect(told).toEqual([]);
    expect(chat.conversation?.sessionId).toBe(SESSION);
  });
});

describe("the end of the agent’s program", () => {
  const exit = { at: at(90), reason: "exit status 1" };

  test("is told once, and then that it runs again", async () => {
    server.status = status({ agent_session: agent({ agent_alive: false, last_exit: exit }) });
    await started();
    expect(chat.exits).toEqual([{ ...exit, then: "ended", sessionId: null }]);
    await chat.readStatus();
    server.status = status({ agent_session: agent({ last_exit: exit }) });
    await chat.readStatus();
    expect(chat.exits).toEqual([{ ...exit, then: "told", sessionId: null }]);
    const again = { at: at(95), reason: "signal 9" };
    server.status = status({ agent_session: agent({ last_exit: again }) });
    await chat.readStatus();
    expect(chat.exits).toEqual([
      { ...exit, then: "told", sessionId: null },
      { ...again, then: "told", sessionId: null },
    ]);
  });

  test("says what became of its memory, and of it", async () => {
    const last_start = { at: at(91), resumed: true, after: "exited with status 1" };
    server.status = status({ agent_session: agent({ last_exit: exit, last_start }) });
    await started();
    expect(chat.exits.map((known) => known.then)).toEqual(["remembers"]);
    server.status = status({
      agent_session: agent({ last_exit: exit, agent_alive: false, agent: "crash_loop" }),
    });
    await chat.readStatus();
    expect(chat.exits.map((known) => known.then)).toEqual(["crash_loop"]);
  });

  test("is looked for when a turn begins to run, and when one ends", async () => {
    await showing(open(1, { state: "queued" }));
    const before = server.calls.status.mock.calls.length;
    streamOf(turnId(1)).send(event.meta("1-1", 1));
    expect(server.calls.status).toHaveBeenCalledTimes(before + 1);
    streamOf(turnId(1)).send(event.content("1-2", "a"), event.content("1-3", "b"));
    expect(server.calls.status).toHaveBeenCalledTimes(before + 1);
    streamOf(turnId(1)).send(event.error("1-4", "agent_died"));
    expect(server.calls.status).toHaveBeenCalledTimes(before + 2);
  });

  test("is that of the conversation which is open, where each has an agent of its own", async () => {
    const told = { ...status(), session_scope: "conversation" } as const;
    const other = { at: at(91), reason: "signal 9" };
    server.calls.status.mockImplementation(async (sessionId) => {
      const last_exit = sessionId === SESSION ? exit : other;
      return sessionId === undefined ? told : { ...told, agent_session: agent({ last_exit }) };
    });
    await showing(row(1));
    const first = { ...exit, then: "told", sessionId: SESSION };
    expect(chat.exits).toEqual([first]);
    chat.show(OTHER_SESSION);
    await settle();
    expect(chat.exits).toEqual([first, { ...other, then: "told", sessionId: OTHER_SESSION }]);
  });

  test("is what a restart is for", async () => {
    await showing(open(1));
    server.rows = [failed(1, "session_reset")];
    await chat.restartAgent();
    expect(server.calls.reset.mock.calls).toEqual([[SESSION]]);
    expect(chat.conversation?.cells[0]?.view.error?.code).toBe("session_reset");
    server.calls.reset.mockRejectedValueOnce(new ApiError(503, "tmux_unavailable", ""));
    await expect(chat.restartAgent()).rejects.toThrow(ApiError);
  });
});
