/** One connection to a turn's event stream, from its request to its end. When to come again is `follow`'s business. */

import { createParser, type EventSourceMessage } from "eventsource-parser";
import { ApiError, problem } from "../problem";
import { anyOf, onReachable } from "../wait";
import type { TurnEvent } from "../wire";
import { Malformed, parseEvent } from "./events";

/**
 * Why a connection is no more, where it may be taken up again: it `ended` without a final event, or the server was busy;
 * nothing was to be `unreachable`; what came was `unreadable`; or it is `stale` and was dropped by us.
 */
export type Break = "ended" | "unreachable" | "unreadable" | "stale";

export type Outcome =
  | { how: "final" }
  | { how: "nothing" }
  | { how: "aborted" }
  | { how: "refused"; error: ApiError }
  | { how: "broken"; why: Break; retryAfterMs: number | null };

export interface Connection {
  url: string;
  headers: Record<string, string>;
  fetch: typeof fetch;
  signal: AbortSignal;
  /** How long until the answer begins, in milliseconds. */
  openMs: number;
  /** How long nothing may come, in milliseconds. */
  silenceMs: number;
  /** How long to listen on after `error`, in milliseconds. */
  graceMs: number;
  onOpen(): void;
  /** The server's `retry`, in milliseconds. */
  onRetry(ms: number): void;
  /** An error that this throws ends the connection and rejects `connect`. */
  onEvent(event: TurnEvent): void;
}

/** Statuses below 500 that say "later". */
const LATER = new Set([408, 425, 429]);

export async function connect(connection: Connection): Promise<Outcome> {
  const watch = new Watch(connection.openMs);
  const ending = anyOf(connection.signal, watch.signal);
  onReachable(ending.signal, (why) => watch.wake(why));
  let isOpen = false;
  const lost = (): Outcome => {
    if (connection.signal.aborted) return { how: "aborted" };
    return broken(watch.signal.aborted && (isOpen || watch.isRenewed) ? "stale" : "unreachable");
  };
  try {
    let response: Response;
    try {
      response = await connection.fetch(connection.url, {
        headers: { ...connection.headers, Accept: "text/event-stream" },
        // Also because of Chromium: it lets requests of one address that could be cached wait for one another.
        cache: "no-store",
        signal: ending.signal,
      });
      if (!response.ok) return refusal(response, await response.text());
    } catch {
      return lost();
    }
    if (response.status === 204) return { how: "nothing" };
    const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream");
    if (!isStream || !response.body) return broken("unreadable");
    isOpen = true;
    watch.expect(connection.silenceMs);
    connection.onOpen();
    return await read(response.body.getReader(), connection, watch, lost);
  } finally {
    watch.end();
    ending.abort();
  }
}

async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  connection: Connection,
  watch: Watch,
  lost: () => Outcome,
): Promise<Outcome> {
  const messages: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: (message) => messages.push(message),
    onRetry: (ms) => connection.onRetry(ms),
  });
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let failed = false;
  for (;;) {
    let chunk: ReadableStreamReadResult<Uint8Array>;
    try {
      chunk = await reader.read();
    } catch {
      return failed && watch.signal.aborted ? { how: "final" } : lost();
    }
    // What is left of an event that was cut off is dropped: it comes again, whole.
    if (chunk.done) return failed ? { how: "final" } : broken("ended");
    watch.heard();
    try {
      parser.feed(decoder.decode(chunk.value, { stream: true }));
    } catch {
      return broken("unreadable");
    }
    for (const message of messages.splice(0)) {
      if (connection.signal.aborted) return { how: "aborted" };
      let event: TurnEvent | null;
      try {
        event = parseEvent(message.event, message.id, message.data);
      } catch (error) {
        if (error instanceof Malformed) return broken("unreadable");
        throw error;
      }
      if (event === null) continue;
      connection.onEvent(event);
      if (event.event === "end") return { how: "final" };
      if (event.event === "error") {
        // A replay goes on where the answer came late. Else the server closes the connection.
        failed = true;
        watch.expect(connection.graceMs);
      }
    }
  }
}

function refusal(response: Response, text: string): Outcome {
  const error = problem(response, text);
  if (response.status < 500 && !LATER.has(response.status)) return { how: "refused", error };
  return { how: "broken", why: "ended", retryAfterMs: error.retryAfterMs };
}

function broken(why: Break): Outcome {
  return { how: "broken", why, retryAfterMs: null };
}

/** Drops a connection on which nothing comes any more: one that is only half there looks like a quiet one. */
class Watch {
  /** Dropped because the network is another one now. */
  isRenewed = false;
  readonly #dropped = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heardAt = 0;

  constructor(private limit: number) {
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#dropped.signal;
  }

  expect(limit: number): void {
    this.limit = limit;
    this.heard();
  }

  heard(): void {
    this.#heardAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#dropped.abort(), this.limit);
  }

  /** A new network has new connections. And timers stand still while a machine sleeps, unlike the clock. */
  wake(why: "online" | "visible"): void {
    if (why === "online") this.isRenewed = true;
    if (why === "online" || Date.now() - this.#heardAt > this.limit) this.#dropped.abort();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
