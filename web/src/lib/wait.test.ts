import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { anyOf, isOffline, pause, pauseOrReachable, reachable } from "./wait";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("a pause ends by the clock, or rejects when aborted", async () => {
  const ending = new AbortController();
  const first = pause(100, ending.signal);
  await vi.advanceTimersByTimeAsync(100);
  await expect(first).resolves.toBeUndefined();
  const second = pause(100, ending.signal);
  ending.abort();
  await expect(second).rejects.toBe(ending.signal.reason);
  await expect(pause(100, ending.signal)).rejects.toBe(ending.signal.reason);
  expect(vi.getTimerCount()).toBe(0);
});

test("reachable waits for the network or the person", async () => {
  const ending = new AbortController();
  const online = reachable(ending.signal);
  window.dispatchEvent(new Event("online"));
  await expect(online).resolves.toBeUndefined();
  const visible = reachable(ending.signal);
  document.dispatchEvent(new Event("visibilitychange"));
  await expect(visible).resolves.toBeUndefined();
  const never = reachable(ending.signal);
  ending.abort();
  await expect(never).rejects.toBe(ending.signal.reason);
});

test("tells what ended a wait", async () => {
  const ending = new AbortController();
  const wait = () => pauseOrReachable(100, ending.signal);
  const [time] = await Promise.all([wait(), vi.advanceTimersByTimeAsync(100)]);
  expect(time).toBe("time");
  const online = wait();
  window.dispatchEvent(new Event("online"));
  expect(await online).toBe("online");
  const aborted = wait();
  ending.abort();
  expect(await aborted).toBe("aborted");
  expect(vi.getTimerCount()).toBe(0);
});

test("only what the network leads to is offline", () => {
  expect(isOffline("https://paliadin.example/")).toBe(false);
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  expect(isOffline("https://paliadin.example/")).toBe(true);
  expect(isOffline("https://127.example/")).toBe(true);
  expect(isOffline("http://127.0.0.1:8717/")).toBe(false);
});

test("any of several signals", () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const remove = vi.spyOn(first.signal, "removeEventListener");
  const any = anyOf(first.signal, second.signal);
  expect(any.signal.aborted).toBe(false);
  second.abort();
  expect(any.signal.aborted).toBe(true);
  expect(remove).toHaveBeenCalledOnce();
  expect(anyOf(first.signal, second.signal).signal.aborted).toBe(true);
  expect(anyOf().signal.aborted).toBe(false);
});
