import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TurnRow } from "../lib/wire";
import { mayComeLate, watchForLate } from "./late";
import { at, cell, failed, row, view } from "./testing/rows";

const MINUTE = 60_000;
const asked = Date.parse(at(1));

describe("a late answer is possible", () => {
  test.each(["timeout", "upstream_silence", "uncertain", "host_unreachable", "shim_error"] as const)(
    "after %s",
    (code) => {
      expect(mayComeLate(view({}, failed(1, code)), asked + MINUTE)).toBe(true);
    },
  );

  test.each(["agent_died", "session_reset", "upstream_error", "queue_full", "disabled"] as const)(
    "not after %s",
    (code) => {
      expect(mayComeLate(view({}, failed(1, code)), asked + MINUTE)).toBe(false);
    },
  );

  test("not for a turn that is answered, stopped or open", () => {
    expect(mayComeLate(view(), asked)).toBe(false);
    expect(mayComeLate(view({}, row(1, { state: "cancelled" })), asked)).toBe(false);
    expect(mayComeLate(view({}, row(1, { state: "running" })), asked)).toBe(false);
  });

  test("for 12 minutes", () => {
    const turn = view({}, failed(1, "timeout"));
    expect(mayComeLate(turn, asked + 12 * MINUTE - 1)).toBe(true);
    expect(mayComeLate(turn, asked + 12 * MINUTE)).toBe(false);
  });
});

describe("looking for it", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: asked });
  });
  afterEach(() => vi.useRealTimers());

  /** Looks; `answers` is what the server says each time, the last one from then on. */
  function look(...answers: (TurnRow | Error)[]) {
    const turn = cell({}, failed(1, "timeout"));
    const ending = new AbortController();
    const looks: number[] = [];
    const read = async () => {
      looks.push((Date.now() - asked) / 1_000);
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer instanceof Error || answer === undefined) throw answer ?? new Error("no answer");
      return answer;
    };
    const done = watchForLate(turn, read, ending.signal);
    return { turn, ending, looks, done };
  }

  test("ends with the answer", async () => {
    const { turn, looks, done } = look(failed(1, "timeout"), row(1, { response: "here it is", late: true }));
    expect(turn.lookingForLate).toBe(true);
    await vi.advanceTimersByTimeAsync(15_000);
    await done;
    expect(looks).toEqual([5, 15]);
    expect(turn.view).toMatchObject({ phase: "done", text: "here it is", late: true });
    expect(turn.lookingForLate).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("gets slower, and gives up", async () => {
    const { turn, looks, done } = look(failed(1, "timeout"));
    await vi.advanceTimersByTimeAsync(13 * MINUTE);
    await done;
    expect(looks.slice(0, 6)).toEqual([5, 15, 35, 75, 135, 195]);
    expect(looks.at(-1)).toBeLessThan(13 * 60);
    expect(turn.view.phase).toBe("failed");
    expect(turn.lookingForLate).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("goes on where a look fails", async () => {
    const { turn, looks, done } = look(new Error("no network"), row(1, { late: true }));
    await vi.advanceTimersByTimeAsync(15_000);
    await done;
    expect(looks).toHaveLength(2);
    expect(turn.view.phase).toBe("done");
  });

  test("ends when the conversation is left", async () => {
    const { turn, looks, ending, done } = look(failed(1, "timeout"));
    await vi.advanceTimersByTimeAsync(7_000);
    ending.abort();
    await done;
    expect(looks).toEqual([5]);
    expect(turn.lookingForLate).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("ends where the turn has another code by now", async () => {
    const { looks, done } = look(failed(1, "session_reset"));
    await vi.advanceTimersByTimeAsync(MINUTE);
    await done;
    expect(looks).toEqual([5]);
  });
});
