/** A server in the same process: it keeps turns, and answers as docs/protocol.md says. */

import { type Mock, vi } from "vitest";
import { type Api, ApiError } from "../../lib/api";
import type { Conversation, RecoveryState, Status, TurnRow } from "../../lib/wire";
import { open, status, turnId } from "./rows";

/** Every function of `Api`; a test can make each one fail or wait. */
type Calls = { [Name in keyof Api]: Mock<Api[Name]> };

export class Server {
  /** Oldest first. */
  rows: TurnRow[] = [];
  /** Newest first. */
  conversations: Conversation[] = [];
  status: Status = status();
  /** What is to be hoped for turns that failed. */
  hope: RecoveryState = "lost";
  readonly calls: Calls;
  readonly api: Api;

  constructor() {
    this.calls = {
      status: vi.fn(async () => this.status),
      signOut: vi.fn(async () => {}),
      conversations: vi.fn(async ({ search = "", before, limit = 50 } = {}) =>
        this.conversations
          .filter(({ title }) => title.includes(search))
          .filter(({ last_turn_id }) => before === undefined || last_turn_id < before)
          .slice(0, limit),
      ),
      rename: vi.fn(async (sessionId, title) => {
        const found = this.conversations.find(({ session_id }) => session_id === sessionId);
        if (!found) throw new ApiError(404, "not_found", "");
        return { ...found, title };
      }),
      remove: vi.fn(async () => {}),
      history: vi.fn(async (sessionId, { before, limit = 50 } = {}) =>
        this.rows
          .filter(({ session_id }) => session_id === sessionId)
          .filter(({ turn_id }) => before === undefined || turn_id < before)
          .slice(-limit),
      ),
      turn: vi.fn(async (id) => {
        const found = this.rows.find(({ turn_id }) => turn_id === id);
        if (!found) throw new ApiError(404, "not_found", "");
        return found;
      }),
      recover: vi.fn(async (id) => {
        const found = this.rows.find(({ turn_id }) => turn_id === id);
        if (!found) throw new ApiError(404, "not_found", "");
        return { ...found, recovery_state: found.state === "done" ? "recovered" : this.hope };
      }),
      ask: vi.fn(async (ask) => {
        const there = this.rows.find(({ client_turn_id }) => client_turn_id === ask.client_turn_id);
        const accepted =
          there ??
          open(this.rows.length + 1, {
            session_id: ask.session_id,
            client_turn_id: ask.client_turn_id,
            user_message: ask.user_message,
          });
        if (!there) this.rows = [...this.rows, accepted];
        const { turn_id, session_id } = accepted;
        return { turn_id, session_id, sse_url: `/api/paliadin/stream/${turn_id}`, position: 0 };
      }),
      cancel: vi.fn(async () => {}),
      reply: vi.fn(async () => {}),
      reset: vi.fn(async () => {}),
    };
    // `Api` has private fields; whoever uses it sees none of them.
    this.api = this.calls as unknown as Api;
  }

  /** Changes what is known of a turn. */
  set(number: number, row: TurnRow): void {
    this.rows = this.rows.map((other) => (other.turn_id === turnId(number) ? row : other));
  }
}

/** A promise that is settled from outside: an answer that takes as long as the test wants. */
export function slow<T>(): { promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
