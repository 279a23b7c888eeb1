import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Api, ApiError, type Ask, Unreachable } from "./api";
import { deliver, type DeliverOptions, Outbox } from "./outbox";

const ask = (id: string): Ask => ({ user_message: `message ${id}`, session_id: "s1", client_turn_id: id });
const accepted = { turn_id: "t1", session_id: "s1", sse_url: "/api/paliadin/stream/t1", position: 0 };

beforeEach(() => {
  localStorage.clear();
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test("keeps messages over a reload, oldest first, each user's own", () => {
  const outbox = new Outbox(localStorage, "a@example.org");
  outbox.put(ask("c2"));
  outbox.put({ ...ask("c1"), context: { route: "/deals/7" } });
  new Outbox(localStorage, "a").put(ask("c3"));
  const reloaded = new Outbox(localStorage, "a@example.org");
  expect(reloaded.all()).toEqual([{ ...ask("c1"), context: { route: "/deals/7" } }, ask("c2")]);
  reloaded.remove("c1");
  reloaded.remove("never there");
  expect(outbox.all()).toEqual([ask("c2")]);
  expect(new Outbox(localStorage, "a").all()).toEqual([ask("c3")]);
});

test("the same message twice is one", () => {
  const outbox = new Outbox(localStorage, "a");
  outbox.put(ask("c1"));
  outbox.put(ask("c1"));
  expect(outbox.all()).toHaveLength(1);
});

test("passes over what it cannot read", () => {
  localStorage.setItem("paliadin.outbox:a:c1", "{broken");
  localStorage.setItem("paliadin.outbox:a:c2", '"text"');
  expect(new Outbox(localStorage, "a").all()).toEqual([]);
});

test("a full storage does not keep anyone from asking", () => {
  const full = {
    length: 0,
    key: () => null,
    getItem: () => null,
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
    removeItem: () => {},
    clear: () => {},
  };
  const outbox = new Outbox(full, "a");
  outbox.put(ask("c1"));
  expect(outbox.all()).toEqual([ask("c1")]);
  outbox.remove("c1");
  expect(outbox.all()).toEqual([]);
});

/** An API whose `ask` fails so often, in this way, before it succeeds. */
function failing(...errors: Error[]) {
  const ask = vi.fn<Api["ask"]>(() => {
    const error = errors.shift();
    return error ? Promise.reject(error) : Promise.resolve(accepted);
  });
  return { api: { ask } as unknown as Api, ask };
}

const busy = (status: number, retryAfterMs: number | null = null, retryable: boolean | null = true) =>
  new ApiError(status, "store_unavailable", "", retryable, retryAfterMs);

function start(api: Api, signal = new AbortController().signal) {
  const onWait = vi.fn<DeliverOptions["onWait"]>();
  return { onWait, result: deliver(api, ask("c1"), { signal, onWait, random: () => 0 }) };
}

test("tries again, ever more slowly, with the same id", async () => {
  const { api, ask: sent } = failing(new Unreachable(), new Unreachable(), busy(503));
  const { result, onWait } = start(api);
  const begun = Date.now();
  await vi.advanceTimersByTimeAsync(1_000 + 2_000 + 4_000);
  expect(await result).toBe(accepted);
  expect(sent).toHaveBeenCalledTimes(4);
  expect(new Set(sent.mock.calls.map(([ask]) => ask.client_turn_id)).size).toBe(1);
  expect(onWait.mock.calls).toEqual([
    ["offline", begun + 1_000],
    ["offline", begun + 3_000],
    ["busy", begun + 7_000],
  ]);
});

test("says where it is one's own questions that are in the way", async () => {
  const { api } = failing(new ApiError(429, "queue_full", "", true));
  const { result, onWait } = start(api);
  await vi.advanceTimersByTimeAsync(1_000);
  await result;
  expect(onWait.mock.calls.map(([why]) => why)).toEqual(["full"]);
});

test("waits as long as the server asks", async () => {
  const { api, ask: sent } = failing(busy(429, 5_000));
  const { result } = start(api);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(sent).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await result).toBe(accepted);
});

test("tries at once when the browser comes online", async () => {
  const { api, ask: sent } = failing(new Unreachable());
  const { result } = start(api);
  await vi.advanceTimersByTimeAsync(1);
  window.dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(0);
  expect(sent).toHaveBeenCalledTimes(2);
  expect(await result).toBe(accepted);
});

test.each([
  ["the server refuses", new ApiError(413, "message_too_large", "", false)],
  ["nobody is signed in", new ApiError(401, "unauthenticated", "")],
  ["the server says that it is no use", new ApiError(503, "agent_crash_loop", "", false, 5_000)],
  ["the server is at fault", new ApiError(500, "internal", "")],
])("gives up where %s", async (_, error) => {
  const { api, ask: sent } = failing(error);
  const { result, onWait } = start(api);
  await expect(result).rejects.toBe(error);
  expect(sent).toHaveBeenCalledTimes(1);
  expect(onWait).not.toHaveBeenCalled();
});

test.each([
  ["a proxy without a server", new ApiError(502, "unreadable", "")],
  ["a page in place of the answer", new ApiError(200, "unreadable", "")],
])("%s is no refusal", async (_, error) => {
  const { api } = failing(error);
  const { result } = start(api);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await result).toBe(accepted);
});

test("can be aborted while it waits", async () => {
  const { api, ask: sent } = failing(new Unreachable());
  const ending = new AbortController();
  const { result } = start(api, ending.signal);
  await vi.advanceTimersByTimeAsync(1);
  ending.abort();
  await expect(result).rejects.toBe(ending.signal.reason);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toHaveBeenCalledTimes(1);
});

test("without a storage messages live as long as the page", () => {
  const outbox = new Outbox(null, "a");
  outbox.put(ask("c2"));
  outbox.put(ask("c1"));
  expect(outbox.all()).toEqual([ask("c1"), ask("c2")]);
  outbox.remove("c1");
  expect(outbox.all()).toEqual([ask("c2")]);
});
