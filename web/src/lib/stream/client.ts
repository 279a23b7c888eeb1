/**
 * The client of a turn's event stream: every page and the widget use it, and so may you.
 *
 * ```ts
 * const ending = new AbortController();
 * let text = "";
 * const end = await follow({
 *   url: accepted.sse_url,            // of the 202; relative to the page, or with the server's origin before it
 *   cursor: null,                     // or the id of the last event that you hold
 *   headers: () => ({ Authorization: `Bearer ${token}` }), // not needed where there is a cookie; asked for each request
 *   signal: ending.signal,
 *   onEvent(event) {
 *     if (event.event === "content") text += "delta" in event.data ? event.data.delta : event.data.text;
 *     if (event.event === "resync") text = event.data.text;
 *   },
 * });
 * ```
 *
 * What it promises:
 * - Every event is delivered once and in order, over any number of connections. Keep the `id` of the last one that has
 *   one, beside the text: with it you can go on later, after a reload too.
 * - It comes again by itself until the turn is over, you abort it, or the server refuses. Waits begin with the server's
 *   `retry` (2 s), double up to 30 s, and end early when the browser comes online or the page becomes visible.
 * - A `resync` is always delivered, and its id is the cursor from then on, even where that is before the last one: a
 *   server that died may have lost what it sent last. Replace the text, and the ids after it are in order again.
 * - After `error` it listens until the server closes the connection: where the answer came late, a `resync` and an
 *   `end` follow.
 * - An error that `onEvent` or `onLink` throws ends it, and rejects the promise.
 *
 * It uses `fetch` rather than `EventSource`, which can send no `Authorization`, tells no status, and goes on with no
 * cursor once a proxy answered 502. The cursor goes by `?last_event_id=`: a header of its own would make the browser
 * ask for permission first (CORS) wherever the server is another origin, and one way for all is simpler.
 *
 * Several tabs: see `followShared`.
 */

import { ApiError, UNREADABLE } from "../problem";
import { isOffline, pauseOrReachable } from "../wait";
import type { TurnEvent } from "../wire";
import { connect } from "./connection";
import { isFinal, isNews } from "./events";

/** `waiting`: the connection is broken, and it is not time yet to come again. */
export type Link = "connecting" | "live" | "waiting";

/** All in milliseconds. The server's own: `retry` 2 s, `ping` 15 s. */
export interface Timing {
  /** First wait before coming again, where the server names none. */
  retryMs: number;
  /** Longest wait. */
  ceilingMs: number;
  /** How long until an answer begins. */
  openMs: number;
  /** How long nothing may come on an open connection: three pings. */
  silenceMs: number;
  /** How long to listen on after `error`, should the server not close. */
  graceMs: number;
  /** How long a tab waits for the one that follows to show itself (`followShared`). */
  helloMs: number;
  /** From 0 to 1; spreads the waits of many clients. */
  random(): number;
}

export const TIMING: Timing = {
  retryMs: 2_000,
  ceilingMs: 30_000,
  openMs: 20_000,
  silenceMs: 45_000,
  graceMs: 2_000,
  helloMs: 1_000,
  random: Math.random,
};

export interface FollowOptions {
  /** The stream's address, without a cursor. */
  url: string;
  /** Id of the last event that is held; `null` for none. */
  cursor: string | null;
  onEvent(event: TurnEvent): void;
  onLink?(link: Link): void;
  signal: AbortSignal;
  headers?: () => Record<string, string>;
  fetch?: typeof fetch;
  timing?: Partial<Timing>;
}

/** `final`: the turn is over, and all of it was delivered. `nothing`: it was over before, and `cursor` its end. */
export type FollowEnd =
  { how: "final" } | { how: "nothing" } | { how: "aborted" } | { how: "refused"; error: ApiError };

/** Shortest first wait, whatever the server says, in milliseconds. */
const LEAST_RETRY = 100;
/** So many unreadable connections in a row are enough. */
const MOST_UNREADABLE = 3;

export async function follow(options: FollowOptions): Promise<FollowEnd> {
  const { url, signal, fetch = (...request) => globalThis.fetch(...request) } = options;
  const timing = { ...TIMING, ...options.timing };
  let cursor = options.cursor;
  let retryMs = timing.retryMs;
  let failures = 0;
  let unreadable = 0;
  let isOver = false;
  let link: Link | null = null;
  const tell = (now: Link) => {
    if (now !== link) options.onLink?.(now);
    link = now;
  };
  while (!signal.aborted) {
    tell("connecting");
    const outcome = await connect({
      ...timing,
      url: withCursor(url, cursor),
      headers: options.headers?.() ?? {},
      fetch,
      signal,
      onOpen: () => tell("live"),
      onRetry: (ms) => (retryMs = Math.min(Math.max(ms, LEAST_RETRY), timing.ceilingMs)),
      onEvent: (event) => {
        if (!isNews(event, cursor)) return;
        failures = 0;
        isOver ||= isFinal(event);
        if (event.id !== null) {
          cursor = event.id;
          unreadable = 0;
        }
        options.onEvent(event);
      },
    });
    // Cut off after `error`: that it was all had to be asked.
    if (outcome.how === "nothing" && isOver) return { how: "final" };
    if (outcome.how !== "broken") return outcome;
    if (signal.aborted) break;
    if (outcome.why === "stale") continue;
    if (outcome.why === "unreadable" && ++unreadable >= MOST_UNREADABLE) {
      return {
        how: "refused",
        error: new ApiError(200, UNREADABLE, "what answers is no event stream of ours"),
      };
    }
    tell("waiting");
    const backoff = Math.min(retryMs * 2 ** failures++, timing.ceilingMs) * (1 - 0.25 * timing.random());
    const asked = Math.min(outcome.retryAfterMs ?? 0, timing.ceilingMs);
    // Where there is no network it is no use to try; but browsers have been wrong about that.
    const offline = outcome.why === "unreachable" && isOffline(url);
    const woken = await pauseOrReachable(offline ? timing.ceilingMs : Math.max(backoff, asked), signal);
    if (woken === "online") failures = 0;
  }
  return { how: "aborted" };
}

function withCursor(url: string, cursor: string | null): string {
  if (cursor === null) return url;
  return `${url}${url.includes("?") ? "&" : "?"}last_event_id=${encodeURIComponent(cursor)}`;
}
