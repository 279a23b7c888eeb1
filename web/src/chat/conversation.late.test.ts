import { beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
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
import { streamOf } from "./testing/streams";

vi.mock("../lib/stream/share", () => import("./testing/streams"));
useConversations();

/** The turns of which the server was asked what is to be hoped, in this order. */
const lookedFor = () => server.calls.recover.mock.calls.map(([id]) => id);

describe("a turn that failed", () => {
  beforeEach(() => {
    server.hope = "pending";
  });

  test("while it was followed is looked for a moment later, and fills in", async () => {
    const conversation = await loaded(open(1));
    const cell = cellAt(conversation, 0);
    streamOf(turnId(1)).send(event.content("1-1", "half"), event.error("1-2", "upstream_silence"));
    server.set(1, failed(1, "upstream_silence", { partial: "half" }));
    streamOf(turnId(1)).end();
    await settle();
    expect(cell.view).toMatchObject({ phase: "failed", text: "half" });
    expect(lookedFor()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(lookedFor()).toEqual([turnId(1)]);
    expect(cell.recovery).toBe("pending");
    const reads = server.calls.turn.mock.calls.length;
    const late = row(1, { response: "half, and the rest", late: true });
    server.set(1, late);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(cell.view).toMatchObject({ phase: "done", text: "half, and the rest", late: true });
    expect(lookedFor()).toHaveLength(2);
    expect(server.calls.turn).toHaveBeenCalledTimes(reads);
    // The other tabs need not ask.
    const answer = { ...late, recovery_state: "recovered" };
    expect(page.tell).toHaveBeenLastCalledWith({ kind: "recovery", sessionId: late.session_id, answer });
  });

  test("is looked for where the history tells of it, once if it is lost", async () => {
    server.hope = "lost";
    const conversation = await loaded(failed(1, "timeout"), row(2), row(3, { state: "cancelled" }));
    expect(lookedFor()).toEqual([turnId(1)]);
    expect(cellAt(conversation, 0).recovery).toBe("lost");
    await vi.advanceTimersByTimeAsync(60_000);
    await conversation.refresh();
    await settle();
    expect(lookedFor()).toEqual([turnId(1)]);
  });

  test("is not looked for where it is long ago", async () => {
    const many = rows(1, 60).map((one, at) => (at % 2 === 0 ? one : failed(at + 1, "timeout")));
    const conversation = await loaded(...many);
    await conversation.loadEarlier();
    await settle();
    expect(conversation.cells).toHaveLength(60);
    expect(lookedFor()).toEqual([52, 54, 56, 58, 60].map(turnId));
  });

  test("is looked for at once when the server or the reader is back", async () => {
    const conversation = await loaded(failed(1, "timeout"));
    await vi.advanceTimersByTimeAsync(20_000);
    server.calls.recover.mockClear();
    await conversation.refresh();
    await settle();
    expect(lookedFor()).toEqual([turnId(1)]);
    server.set(1, row(1, { late: true }));
    await conversation.refresh();
    await settle();
    // The history had it already.
    expect(lookedFor()).toEqual([turnId(1)]);
    expect(cellAt(conversation, 0).recovery).toBeNull();
  });

  test("that cannot be looked for just now is no trouble", async () => {
    server.calls.recover.mockRejectedValue(new Unreachable());
    const conversation = await loaded(failed(1, "timeout"));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(cellAt(conversation, 0).recovery).toBeNull();
    expect(page.trouble).not.toHaveBeenCalled();
  });

  test("was looked for by another tab", async () => {
    const conversation = await loaded(failed(1, "timeout"));
    conversation.recoveredElsewhere({ ...row(1, { late: true }), recovery_state: "recovered" });
    expect(cellAt(conversation, 0).view).toMatchObject({ phase: "done", late: true });
    conversation.recoveredElsewhere({ ...failed(2, "timeout"), recovery_state: "pending" });
    expect(conversation.cells).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lookedFor()).toEqual([turnId(1)]);
  });

  test("before the server had it is not looked for", async () => {
    server.calls.ask.mockRejectedValueOnce(new ApiError(400, "message_too_large", ""));
    const conversation = begin({ isNew: true });
    conversation.ask("Hello");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(shown(conversation)).toEqual(["failed: Hello"]);
    expect(lookedFor()).toEqual([]);
  });
});
