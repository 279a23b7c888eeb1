/**
 * Messages that were written and may not have reached the server. They are put here before they are sent, and taken out
 * when the server has them or has refused them for good: so nothing is lost by a reload, and nothing is doubled, since
 * the same `client_turn_id` is the same turn.
 */

import { type Api, ApiError, type Ask, Unreachable } from "./api";
import { UNREADABLE } from "./problem";
import { isOffline, pauseOrReachable } from "./wait";
import type { Accepted } from "./wire";

export class Outbox {
  readonly #storage: Storage | null;
  /** Each message has a key of its own: two tabs that write at once do not overwrite each other. */
  readonly #prefix: string;
  /** Those that the storage did not take (it is full, or not allowed): they live as long as the page. */
  readonly #unstored = new Map<string, Ask>();

  /** Without a storage, messages live as long as the page. */
  constructor(storage: Storage | null, user: string) {
    this.#storage = storage;
    this.#prefix = `paliadin.outbox:${encodeURIComponent(user)}:`;
  }

  /** Oldest first, provided that `client_turn_id`s sort by time. */
  all(): Ask[] {
    const asks = [...this.#unstored.values()];
    const storage = this.#storage;
    for (let index = 0; index < (storage?.length ?? 0); index++) {
      const key = storage?.key(index) ?? "";
      const ask = key.startsWith(this.#prefix) ? parse(storage?.getItem(key) ?? null) : null;
      if (ask) asks.push(ask);
    }
    return asks.sort((a, b) => (a.client_turn_id < b.client_turn_id ? -1 : 1));
  }

  put(ask: Ask): void {
    try {
      if (!this.#storage) throw new Error("no storage");
      this.#storage.setItem(this.#prefix + ask.client_turn_id, JSON.stringify(ask));
      this.#unstored.delete(ask.client_turn_id);
    } catch {
      this.#unstored.set(ask.client_turn_id, ask);
    }
  }

  remove(clientTurnId: string): void {
    this.#unstored.delete(clientTurnId);
    this.#storage?.removeItem(this.#prefix + clientTurnId);
  }
}

/** Why a message waits: no connection, a busy server, or too many questions of this user that wait already. */
export type Hindrance = "offline" | "busy" | "full";

export interface DeliverOptions {
  signal: AbortSignal;
  /** `retryAtMs` is in milliseconds since 1970; `null` where it is when the browser comes online. */
  onWait(why: Hindrance, retryAtMs: number | null): void;
  /** First and longest wait, in milliseconds. */
  retryMs?: number;
  ceilingMs?: number;
  random?: () => number;
}

/**
 * Sends a question until the server has it, however long that takes. Rejects with the `ApiError` of a refusal that
 * another try would not change, and with the signal's reason when aborted.
 */
export async function deliver(api: Pick<Api, "ask">, ask: Ask, options: DeliverOptions): Promise<Accepted> {
  const { signal, onWait, retryMs = 1_000, ceilingMs = 30_000, random = Math.random } = options;
  for (let failures = 0; ; failures++) {
    let wait: ReturnType<typeof worthWaiting>;
    try {
      return await api.ask(ask, signal);
    } catch (error) {
      signal.throwIfAborted();
      wait = worthWaiting(error);
      if (!wait) throw error;
    }
    const offline = wait.why === "offline" && isOffline(globalThis.location?.href ?? "http://localhost");
    const backoff = Math.min(retryMs * 2 ** failures, ceilingMs) * (1 - 0.25 * random());
    const ms = offline ? ceilingMs : Math.max(backoff, wait.retryAfterMs);
    onWait(wait.why, offline ? null : Date.now() + ms);
    const woken = await pauseOrReachable(ms, signal);
    signal.throwIfAborted();
    if (woken === "online") failures = -1;
  }
}

/** Statuses of servers and proxies that say "later". */
const LATER = new Set([408, 425, 429, 502, 503, 504]);

/** `null` where the server's word is final. */
function worthWaiting(error: unknown): { why: Hindrance; retryAfterMs: number } | null {
  if (error instanceof Unreachable) return { why: "offline", retryAfterMs: 0 };
  if (!(error instanceof ApiError) || error.retryable === false) return null;
  // A page of something in between, such as a hotel's sign-in: the server has refused nothing.
  const isForeign = error.code === UNREADABLE && error.status < 400;
  if (!isForeign && !LATER.has(error.status)) return null;
  return { why: error.code === "queue_full" ? "full" : "busy", retryAfterMs: error.retryAfterMs ?? 0 };
}

function parse(text: string | null): Ask | null {
  try {
    const ask = JSON.parse(text ?? "null") as Ask | null;
    return typeof ask?.client_turn_id === "string" && typeof ask.user_message === "string" ? ask : null;
  } catch {
    return null;
  }
}
