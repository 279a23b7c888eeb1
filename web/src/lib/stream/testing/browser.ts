/** Tabs of one browser: locks and channels as the real ones behave, and tabs that can be closed at any moment. */

import type { Shared } from "../share";
import { Slots } from "../slots";
import type { Random } from "./random";

interface Request {
  tab: Tab;
  grant(): void;
}

interface Lock {
  holder: Request | null;
  queue: Request[];
}

type LockOptions = { signal?: AbortSignal; ifAvailable?: boolean };
type LockCallback = (lock: { name: string } | null) => Promise<unknown>;

export class Browser {
  readonly #locks = new Map<string, Lock>();
  readonly channels = new Set<Channel>();

  /** With `random`, messages take up to 3 ms. */
  constructor(readonly random: Random | null = null) {}

  open(): Tab {
    return new Tab(this);
  }

  /** Every tab that holds a lock. */
  holders(): Tab[] {
    return [...this.#locks.values()].flatMap((lock) => lock.holder?.tab ?? []);
  }

  async request(tab: Tab, name: string, options: LockOptions, callback: LockCallback): Promise<unknown> {
    const { signal, ifAvailable = false } = options;
    if (signal && ifAvailable) throw new DOMException("signal and ifAvailable", "NotSupportedError");
    signal?.throwIfAborted();
    const lock = this.#locks.get(name) ?? { holder: null, queue: [] };
    this.#locks.set(name, lock);
    await Promise.resolve();
    // Whoever is closed never hears anything again.
    if (tab.isClosed) return new Promise(() => {});
    if (ifAvailable && (lock.holder || lock.queue.length > 0)) return callback(null);
    const request = await new Promise<Request>((resolve, reject) => {
      const request: Request = { tab, grant: () => resolve(request) };
      signal?.addEventListener("abort", () => {
        if (lock.queue.includes(request)) {
          lock.queue = lock.queue.filter((other) => other !== request);
          reject(signal.reason as Error);
        }
      });
      lock.queue.push(request);
      next(lock);
    });
    if (tab.isClosed) return new Promise(() => {});
    try {
      return await callback({ name });
    } finally {
      if (lock.holder === request) {
        lock.holder = null;
        next(lock);
      }
    }
  }

  /** Takes away what a closed tab had. */
  forget(tab: Tab): void {
    for (const lock of this.#locks.values()) {
      lock.queue = lock.queue.filter((request) => request.tab !== tab);
      if (lock.holder?.tab === tab) {
        lock.holder = null;
        next(lock);
      }
    }
  }
}

function next(lock: Lock): void {
  if (lock.holder) return;
  lock.holder = lock.queue.shift() ?? null;
  lock.holder?.grant();
}

export class Tab {
  readonly shared: Shared;
  isClosed = false;
  /** What it says reaches nobody, as if it were frozen. */
  isMute = false;
  readonly #ending = new AbortController();

  constructor(readonly browser: Browser) {
    const request = (name: string, options: LockOptions, callback: LockCallback) =>
      browser.request(this, name, options, callback);
    this.shared = {
      locks: { request: request as LockManager["request"] },
      channel: (name) => new Channel(this, name),
      slots: new Slots(),
    };
  }

  /** Aborted when the tab is closed: that ends its requests. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  close(): void {
    this.isClosed = true;
    this.#ending.abort();
    this.browser.forget(this);
  }
}

class Channel {
  onmessage: BroadcastChannel["onmessage"] = null;
  #isClosed = false;
  /** What was sent here before comes before. */
  #arrived: Promise<void> = Promise.resolve();

  constructor(
    readonly tab: Tab,
    readonly name: string,
  ) {
    tab.browser.channels.add(this);
  }

  postMessage(message: unknown): void {
    if (this.tab.isClosed) return;
    if (this.#isClosed) throw new DOMException("closed", "InvalidStateError");
    if (this.tab.isMute) return;
    for (const other of this.tab.browser.channels) {
      if (other !== this && other.name === this.name) other.#receive(structuredClone(message));
    }
  }

  close(): void {
    this.#isClosed = true;
    this.tab.browser.channels.delete(this);
  }

  #receive(data: unknown): void {
    const before = this.#arrived;
    const delay = this.tab.browser.random?.below(4) ?? 0;
    this.#arrived = new Promise((resolve) => {
      setTimeout(() => {
        void before.then(() => {
          if (!this.#isClosed && !this.tab.isClosed) {
            this.onmessage?.call(this as unknown as BroadcastChannel, new MessageEvent("message", { data }));
          }
          resolve();
        });
      }, delay);
    });
  }
}
