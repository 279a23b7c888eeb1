import { afterEach, expect, test, vi } from "vitest";
import { Api, ApiError, Unreachable } from "./api";

afterEach(() => vi.useRealTimers());

interface Sent {
  url: string;
  init: RequestInit;
}

/** An API whose server gives this answer, and what was sent to it. */
function served(
  answer: (sent: Sent) => Response | Promise<Response>,
  base?: string,
): { api: Api; sent: Sent[] } {
  const sent: Sent[] = [];
  const fetch = async (url: RequestInfo | URL, init: RequestInit = {}) => {
    sent.push({ url: String(url), init });
    return answer({ url: String(url), init });
  };
  const headers = () => ({ Authorization: "Bearer pal_x" });
  return { api: new Api(base === undefined ? { fetch } : { base, headers, fetch }), sent };
}

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });

/** Never answers, and ends when it is aborted, as the real one does. */
const silent = ({ init }: Sent) =>
  new Promise<Response>((_, reject) => {
    init.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
  });

test("each call goes to its route", async () => {
  const { api, sent } = served(() => json({ ok: true }));
  await api.status();
  await api.status("s1");
  await api.conversations();
  await api.conversations({ search: "a&b", limit: 20 });
  await api.rename("s1", "New");
  await api.remove("s1");
  await api.history("s1", { before: "t9", limit: 50 });
  await api.turn("t1");
  await api.recover("t1");
  await api.ask({ user_message: "Hello", session_id: "s1", client_turn_id: "c1" });
  await api.cancel("t1");
  await api.reply("t1", "1-2", "yes");
  await api.reset();
  await api.reset("s1");
  expect(sent.map(({ url, init }) => `${init.method} ${url} ${init.body ?? ""}`.trim())).toEqual([
    "GET /api/paliadin/status",
    "GET /api/paliadin/status?session=s1",
    "GET /api/paliadin/conversations",
    "GET /api/paliadin/conversations?search=a%26b&limit=20",
    'PATCH /api/paliadin/conversations/s1 {"title":"New"}',
    "DELETE /api/paliadin/conversations/s1",
    "GET /api/paliadin/history?session=s1&before=t9&limit=50",
    "GET /api/paliadin/turns/t1",
    "GET /api/paliadin/turns/t1/recover",
    'POST /api/paliadin/turn {"user_message":"Hello","session_id":"s1","client_turn_id":"c1"}',
    "POST /api/paliadin/turns/t1/cancel",
    'POST /api/paliadin/turns/t1/reply {"text":"yes","attention":"1-2"}',
    "POST /api/paliadin/reset",
    "POST /api/paliadin/reset?session=s1",
  ]);
});

test("a widget names the server and who asks", async () => {
  const { api, sent } = served(() => json([]), "https://paliadin.example/");
  await api.history("s1");
  expect(sent[0]?.url).toBe("https://paliadin.example/api/paliadin/history?session=s1");
  expect(sent[0]?.init.headers).toEqual({ Authorization: "Bearer pal_x" });
});

test("a success without a body is one", async () => {
  const { api } = served(() => new Response(null, { status: 204 }));
  await expect(api.remove("s1")).resolves.toBeUndefined();
});

test("a problem keeps what the server said", async () => {
  const body = { code: "queue_full", detail: "too many", retryable: true, status: 429 };
  const { api } = served(
    () => new Response(JSON.stringify(body), { status: 429, headers: { "Retry-After": "5" } }),
  );
  const error = await api.turn("t1").catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ status: 429, code: "queue_full", detail: "too many", retryable: true });
  expect(error).toMatchObject({ retryAfterMs: 5000 });
});

test.each([
  ["a proxy's page", new Response("<h1>Bad Gateway</h1>", { status: 502 }), 502],
  ["JSON of another kind", json(["no problem"], 400), 400],
  ["JSON that is nothing", json(null, 500), 500],
  ["a sign-in page in place of the answer", new Response("<html>"), 200],
])("%s is unreadable", async (_, response, status) => {
  const { api } = served(() => response);
  await expect(api.status()).rejects.toMatchObject({ status, code: "unreadable", retryable: null });
});

test("no network is Unreachable", async () => {
  const { api } = served(() => Promise.reject(new TypeError("Failed to fetch")));
  await expect(api.status()).rejects.toBeInstanceOf(Unreachable);
});

test.each([
  ["any request", 20_000, (api: Api) => api.status()],
  ["a reset", 15_000, (api: Api) => api.reset()],
])("%s has a limit", async (_, limit, call) => {
  vi.useFakeTimers();
  const { api } = served(silent);
  const settled = vi.fn();
  const result = call(api).catch((error: unknown) => {
    settled();
    return error;
  });
  await vi.advanceTimersByTimeAsync(limit - 1);
  expect(settled).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(await result).toBeInstanceOf(Unreachable);
});

test("the limit holds for the body, too", async () => {
  vi.useFakeTimers();
  const { api } = served(({ init }) => {
    const body = new ReadableStream({
      start: (controller) =>
        init.signal?.addEventListener("abort", () => controller.error(new Error("aborted"))),
    });
    return new Response(body);
  });
  const result = api.status().catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(await result).toBeInstanceOf(Unreachable);
});

test("one's own abort is no Unreachable", async () => {
  const { api } = served(silent);
  const ending = new AbortController();
  const result = api.status(undefined, ending.signal).catch((error: unknown) => error);
  ending.abort();
  expect(await result).toBe(ending.signal.reason);
});
