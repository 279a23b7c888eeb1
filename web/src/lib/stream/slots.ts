/**
 * How many turns a tab follows over HTTP at once: over HTTP/1.1 a browser has six connections to a server, for all its
 * tabs together, and requests need some of them.
 *
 * Slots go by key, the smallest first. Keys are turn ids, which sort by time: a user's turns run in that order, so the
 * ones that matter have a slot. A smaller key takes the slot of a greater one.
 */

export interface Slot {
  /** Aborted when the slot was taken away. */
  readonly lost: AbortSignal;
  /** Gives it back; after the first time, or when it is lost, nothing. */
  release(): void;
}

interface Held {
  key: string;
  lost: AbortController;
}

interface Waiter {
  key: string;
  grant(slot: Slot): void;
}

export class Slots {
  readonly #held = new Set<Held>();
  readonly #waiters = new Set<Waiter>();

  constructor(readonly limit = 2) {}

  /** A slot at once, or none. */
  take(key: string): Slot | null {
    if (this.#held.size >= this.limit) {
      const last = greatest(this.#held);
      if (last === null || last.key <= key) return null;
      this.#held.delete(last);
      last.lost.abort();
    }
    const held = { key, lost: new AbortController() };
    this.#held.add(held);
    return {
      lost: held.lost.signal,
      release: () => {
        if (this.#held.delete(held)) this.#next();
      },
    };
  }

  /** A slot as soon as there is one; rejects with the signal's reason when aborted. */
  wait(key: string, signal: AbortSignal): Promise<Slot> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const slot = this.take(key);
      if (slot) return resolve(slot);
      const abort = () => {
        this.#waiters.delete(waiter);
        reject(signal.reason as Error);
      };
      const waiter = {
        key,
        grant: (granted: Slot) => {
          signal.removeEventListener("abort", abort);
          resolve(granted);
        },
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  #next(): void {
    let first: Waiter | null = null;
    for (const waiter of this.#waiters) {
      if (first === null || waiter.key < first.key) first = waiter;
    }
    const slot = first && this.take(first.key);
    if (!first || !slot) return;
    this.#waiters.delete(first);
    first.grant(slot);
  }
}

function greatest(all: Iterable<Held>): Held | null {
  let found: Held | null = null;
  for (const held of all) {
    if (found === null || held.key > found.key) found = held;
  }
  return found;
}
