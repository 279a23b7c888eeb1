import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../lib/api";
import type { RecoveredRow, RecoveryState } from "../lib/wire";
import { FIRST, LateLook } from "./late";
import { at, cell, failed, row } from "./testing/rows";

const MINUTE = 60_000;
const begun = Date.parse(at(1));

beforeEach(() => {
  vi.useFakeTimers({ now: begun });
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function told(recovery_state: RecoveryState, of = failed(1, "timeout")): RecoveredRow {
  return { ...of, recovery_state };
}
const pending = told("pending");
const lost = told("lost");
const recovered = told("recovered", row(1, { response: "here it is", late: true }));

/** Looks; `answers` is what the server says each time, the last one from then on. */
function look(wait: number, ...answers: (RecoveredRow | Error)[]) {
  const turn = cell({}, failed(1, "timeout"));
  const ending = new AbortController();
  const looks: number[] = [];
  const recover = async () => {
    looks.push((Date.now() - begun) / 1_000);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof Error || answer === undefined) throw answer ?? new Error("no answer");
    return answer;
  };
  const late = new LateLook(turn, recover, ending.signal);
  return { turn, ending, looks, late, done: late.run(wait) };
}

describe("looking for a late answer", () => {
  test("ends with it: the row that tells of it fills the turn", async () => {
    const { turn, looks, done } = look(FIRST, pending, recovered);
    expect(turn.recovery).toBeNull();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(turn.recovery).toBe("pending");
    await vi.advanceTimersByTimeAsync(2_000);
    await done;
    expect(looks).toEqual([1, 3]);
    expect(turn.view).toMatchObject({ phase: "done", text: "here it is", late: true, error: null });
    expect(turn.recovery).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends when the server says that there is none", async () => {
    const { turn, looks, done } = look(FIRST, pending, lost);
    await vi.advanceTimersByTimeAsync(MINUTE);
    await done;
    expect(looks).toEqual([1, 3]);
    expect(turn.view).toMatchObject({ phase: "failed", error: { code: "timeout" } });
    expect(turn.recovery).toBe("lost");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("gets slower, down to every 15 s, and never gives up by itself", async () => {
    const { turn, looks } = look(FIRST, pending);
    await vi.advanceTimersByTimeAsync(60 * MINUTE);
    expect(looks.slice(0, 7)).toEqual([1, 3, 7, 15, 30, 45, 60]);
    expect(looks.at(-1)).toBe(3_600);
    expect(turn.recovery).toBe("pending");
  });

  test("begins at once where it is not known how long ago the turn failed", async () => {
    const { looks } = look(0, pending);
    await vi.advanceTimersByTimeAsync(7_000);
    expect(looks).toEqual([0, 1, 3, 7]);
  });

  test("is spread over a quarter of each wait", async () => {
    vi.mocked(Math.random).mockReturnValue(1);
    const { looks } = look(FIRST, pending);
    await vi.advanceTimersByTimeAsync(2_250);
    expect(looks).toEqual([0.75, 2.25]);
  });

  test.each([
    ["no network", new Unreachable()],
    ["a busy server", new ApiError(503, "store_unavailable", "", true)],
    ["nobody signed in", new ApiError(401, "unauthenticated", "")],
  ])("goes on after %s", async (_, error) => {
    const { turn, looks, done } = look(FIRST, error, error, recovered);
    await vi.advanceTimersByTimeAsync(7_000);
    await done;
    expect(looks).toEqual([1, 3, 7]);
    expect(turn.view.phase).toBe("done");
  });

  test("keeps what was said while the server cannot be asked", async () => {
    const { turn } = look(FIRST, pending, new Unreachable());
    await vi.advanceTimersByTimeAsync(MINUTE);
    expect(turn.recovery).toBe("pending");
  });

  test("ends where there is no such turn any more, and says nothing", async () => {
    const { turn, looks, done } = look(FIRST, pending, new ApiError(404, "not_found", ""));
    await vi.advanceTimersByTimeAsync(MINUTE);
    await done;
    expect(looks).toEqual([1, 3]);
    expect(turn.recovery).toBeNull();
  });

  test("ends when the conversation is left", async () => {
    const { turn, looks, ending, done } = look(FIRST, pending);
    await vi.advanceTimersByTimeAsync(1_500);
    ending.abort();
    await done;
    expect(looks).toEqual([1]);
    expect(turn.recovery).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends where the answer came another way", async () => {
    const { turn, looks, done } = look(FIRST, pending);
    await vi.advanceTimersByTimeAsync(1_000);
    turn.view = cell({}, row(1, { late: true })).view;
    await vi.advanceTimersByTimeAsync(MINUTE);
    await done;
    expect(looks).toEqual([1]);
    expect(turn.recovery).toBeNull();
  });

  test("is done at once where there is reason to, and often again after that", async () => {
    const { looks, late } = look(FIRST, pending);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(looks).toEqual([1, 3, 7, 15]);
    late.hurry();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(looks.slice(4)).toEqual([20, 21, 23]);
  });
});

describe("another tab that looks for the same", () => {
  test("is believed, and its look counts as ours", async () => {
    const { turn, looks, late } = look(FIRST, pending);
    await vi.advanceTimersByTimeAsync(900);
    late.hear(pending);
    expect(turn.recovery).toBe("pending");
    await vi.advanceTimersByTimeAsync(1_900);
    expect(looks).toEqual([]);
    await vi.advanceTimersByTimeAsync(100);
    expect(looks).toEqual([2.9]);
  });

  test.each([
    ["the answer", recovered, "done", null],
    ["that there is none", lost, "failed", "lost"],
  ] as const)("tells %s, and nothing is asked any more", async (_, answer, phase, recovery) => {
    const { turn, looks, late, done } = look(FIRST, pending);
    await vi.advanceTimersByTimeAsync(500);
    late.hear(answer);
    await done;
    expect(looks).toEqual([]);
    expect(turn.view.phase).toBe(phase);
    expect(turn.recovery).toBe(recovery);
    late.hear(pending);
    expect(turn.recovery).toBe(recovery);
    expect(vi.getTimerCount()).toBe(0);
  });
});
