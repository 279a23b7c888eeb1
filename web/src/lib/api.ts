/** The HTTP API as functions. What does not succeed rejects: see `ApiError`, `Unreachable`, and one's own abort. */

import { ApiError, problem, Unreachable, UNREADABLE } from "./problem";
import type { Accepted, Conversation, RecoveredRow, Status, TurnRow } from "./wire";
import { anyOf } from "./wait";

export { ApiError, Unreachable };

/** A question. The same `client_turn_id` again is the same turn, so that it can be sent until it is answered. */
export interface Ask {
  user_message: string;
  session_id: string;
  client_turn_id: string;
  context?: Record<string, unknown>;
}

export interface ApiOptions {
  /** Where the server is, such as `https://paliadin.example`; default: where the page came from. */
  base?: string;
  /** Headers of every request, such as `Authorization`; asked anew for each. */
  headers?: () => Record<string, string>;
  fetch?: typeof fetch;
}

/** How long a request may take, in milliseconds. */
const LIMIT = 20_000;
/** The same for a reset: the server itself gives up after 10 s. */
const RESET_LIMIT = 15_000;

interface Call {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  signal?: AbortSignal | undefined;
  limit?: number;
}

export class Api {
  readonly #base: string;
  readonly #headers: () => Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor({
    base = "",
    headers = () => ({}),
    fetch = (...request) => globalThis.fetch(...request),
  }: ApiOptions = {}) {
    this.#base = base.replace(/\/$/, "");
    this.#headers = headers;
    this.#fetch = fetch;
  }

  /** With the agent session of this conversation, where each has one of its own. */
  status(sessionId?: string, signal?: AbortSignal): Promise<Status> {
    return this.#read("GET", "/status", { query: { session: sessionId }, signal });
  }

  /** Newest activity first. `before` is a `last_turn_id`: those whose last turn is older. */
  conversations(
    query: { search?: string; before?: string; limit?: number } = {},
    signal?: AbortSignal,
  ): Promise<Conversation[]> {
    return this.#read("GET", "/conversations", { query, signal });
  }

  rename(sessionId: string, title: string): Promise<Conversation> {
    return this.#read("PATCH", `/conversations/${encodeURIComponent(sessionId)}`, { body: { title } });
  }

  async remove(sessionId: string): Promise<void> {
    await this.#send("DELETE", `/conversations/${encodeURIComponent(sessionId)}`);
  }

  /** Oldest first. `before` is a `turn_id`: turns that are older. */
  history(
    sessionId: string,
    query: { before?: string; limit?: number } = {},
    signal?: AbortSignal,
  ): Promise<TurnRow[]> {
    return this.#read("GET", "/history", { query: { session: sessionId, ...query }, signal });
  }

  turn(turnId: string, signal?: AbortSignal): Promise<TurnRow> {
    return this.#read("GET", `/turns/${encodeURIComponent(turnId)}`, { signal });
  }

  /** The turn, and whether it is still to be answered where it was not. */
  recover(turnId: string, signal?: AbortSignal): Promise<RecoveredRow> {
    return this.#read("GET", `/turns/${encodeURIComponent(turnId)}/recover`, { signal });
  }

  ask(body: Ask, signal?: AbortSignal): Promise<Accepted> {
    return this.#read("POST", "/turn", { body, signal });
  }

  async cancel(turnId: string): Promise<void> {
    await this.#send("POST", `/turns/${encodeURIComponent(turnId)}/cancel`);
  }

  /** Answers what the agent asked by the `attention` event with this id. */
  async reply(turnId: string, attention: string, text: string): Promise<void> {
    await this.#send("POST", `/turns/${encodeURIComponent(turnId)}/reply`, { body: { text, attention } });
  }

  /**
   * Ends the agent, and every open turn with it: that of this conversation, where each has one of its own; without one,
   * all of the user's.
   */
  async reset(sessionId?: string): Promise<void> {
    await this.#send("POST", "/reset", { query: { session: sessionId }, limit: RESET_LIMIT });
  }

  /** Ends the sign-in of this browser. */
  async signOut(): Promise<void> {
    await this.#send("POST", "/sign-out");
  }

  /** The JSON of an answer. Its shape is the server's word. */
  async #read<T>(method: string, path: string, call: Call = {}): Promise<T> {
    const { response, text } = await this.#send(method, path, call);
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new ApiError(response.status, UNREADABLE, "the answer is no JSON");
    }
  }

  async #send(method: string, path: string, call: Call = {}): Promise<{ response: Response; text: string }> {
    const { query = {}, body, signal, limit = LIMIT } = call;
    signal?.throwIfAborted();
    const expiry = new AbortController();
    const timer = setTimeout(() => expiry.abort(), limit);
    const ending = anyOf(expiry.signal, ...(signal ? [signal] : []));
    const request: RequestInit = {
      method,
      headers: this.#headers(),
      signal: ending.signal,
      cache: "no-store",
    };
    if (body !== undefined) {
      request.headers = { ...request.headers, "Content-Type": "application/json" };
      request.body = JSON.stringify(body);
    }
    const given = Object.entries(query).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, String(value)]],
    );
    const search = given.length === 0 ? "" : `?${new URLSearchParams(given).toString()}`;
    let response: Response;
    let text: string;
    try {
      response = await this.#fetch(`${this.#base}/api/paliadin${path}${search}`, request);
      text = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      const why = expiry.signal.aborted ? `no answer within ${limit / 1000} s` : String(error);
      throw new Unreachable(why, { cause: error });
    } finally {
      clearTimeout(timer);
      ending.abort();
    }
    if (!response.ok) throw problem(response, text);
    return { response, text };
  }
}
