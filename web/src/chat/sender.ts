/**
 * Sends messages in the order in which they were written: one after the other in this page and, by a lock, in all tabs of
 * the user. A message that has to wait holds up those behind it, so the agent never gets the second before the first.
 */

import type { Ask } from "../lib/api";
import { deliver, type DeliverOptions } from "../lib/outbox";
import type { Accepted } from "../lib/wire";

type Wait = DeliverOptions["onWait"];

/** How a message is handed to the server once. */
export type Post = { ask(body: Ask): Promise<Accepted> };

export class Sender {
  readonly #user: string;
  /** The message that is being sent, and those behind it. */
  readonly #waiting: Wait[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(user: string) {
    this.#user = user;
  }

  /** Resolves when the server has the message; rejects as `deliver` does. */
  send(
    post: Post,
    ask: Ask,
    { signal, onWait }: Pick<DeliverOptions, "signal" | "onWait">,
  ): Promise<Accepted> {
    this.#waiting.push(onWait);
    // Whoever waits behind this one waits for the same.
    const tellAll: Wait = (why, retryAt) => {
      for (const tell of this.#waiting) tell(why, retryAt);
    };
    const before = this.#last;
    const sending = (async () => {
      try {
        await before;
        return await this.#alone(signal, () => deliver(post, ask, { signal, onWait: tellAll }));
      } finally {
        this.#waiting.splice(this.#waiting.indexOf(onWait), 1);
      }
    })();
    this.#last = sending.catch(() => {});
    return sending;
  }

  /** While no other tab of this user sends. */
  async #alone<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    // Missing on pages that came over plain HTTP from another host.
    if (typeof navigator === "undefined" || !navigator.locks) return work();
    return navigator.locks.request(`paliadin.outbox:${this.#user}`, { signal }, work);
  }
}
