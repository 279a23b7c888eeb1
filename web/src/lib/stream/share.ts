/**
 * Several tabs that show the same turn share one connection. For each turn one tab holds a lock: it follows over HTTP
 * and broadcasts every event. The others listen, and wait for the lock: it passes on when its tab is closed, and whoever
 * has it then goes on from its own cursor.
 *
 * A listener takes a broadcast event only where it goes on from exactly what the listener holds. Where it is behind
 * (it has just been opened, or it missed something) it follows over HTTP itself until it is in step. That is sound since
 * a cursor says all about the text: two tabs with the same cursor hold the same.
 *
 * A tab that holds a lock is not frozen by Chromium when it is hidden. Where the holder falls silent all the same, each
 * listener follows by itself until it is heard again.
 */

import { anyOf } from "../wait";
import type { TurnEvent } from "../wire";
import { follow, type FollowEnd, type FollowOptions, type Link, TIMING, type Timing } from "./client";
import { compareIds, isFinal } from "./events";
import { type Slot, Slots } from "./slots";

/** What tabs share; of the browser, or made up by a test. */
export interface Shared {
  locks: Pick<LockManager, "request">;
  /** Opens the channel of that name. */
  channel(name: string): Pick<BroadcastChannel, "postMessage" | "close" | "onmessage">;
  /** Those of this tab. */
  slots: Slots;
}

type Message =
  /** Somebody listens now, and wants to know where the holder is. */
  | { kind: "hello" }
  /** Where the holder is. */
  | { kind: "here"; cursor: string | null; link: Link }
  /** The holder got this, and had `before` until then. */
  | { kind: "event"; before: string | null; event: TurnEvent };

/** How a time with the lock ended: with the turn, or because there is no slot (any more). */
type Term = FollowEnd | { how: "taken" } | { how: "no-slot" };

const slots = new Slots();

/** Like `follow`, with the other tabs of this browser. Not more than two turns of a tab are followed over HTTP at once. */
export async function followShared(
  turnId: string,
  options: FollowOptions,
  shared: Shared | null = browserShared(),
): Promise<FollowEnd> {
  const seat = new Seat(turnId, options, shared);
  try {
    return await seat.run();
  } finally {
    seat.leave();
  }
}

/** `null` where the browser has no locks: on a page over plain HTTP from another host, or in a sandbox. */
function browserShared(): Shared | null {
  if (typeof navigator === "undefined" || !navigator.locks || typeof BroadcastChannel === "undefined")
    return null;
  return { locks: navigator.locks, channel: (name) => new BroadcastChannel(name), slots };
}

/** One tab's place at one turn. */
class Seat {
  #cursor: string | null;
  /** A final event was delivered. After `error` a late answer may still follow. */
  #isOver = false;
  #isHolder = false;
  /** There was a question. */
  #hasAsked = false;
  /** A question may have been read over HTTP, and not yet the `thinking` behind it, which tells whether it is still open. */
  #mayBeOver = false;
  #link: Link | null = null;
  #catchUp: { abort(): void } | null = null;
  /** Where the holder was when it was heard last; `undefined` where it is not to be heard. */
  #holderAt: string | null | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #channel: ReturnType<Shared["channel"]> | null = null;
  readonly #timing: Timing;
  readonly #slots: Slots;
  /** Aborted when this call is over, for whatever reason. */
  readonly #ending: { signal: AbortSignal; abort(): void };
  /** How what happens outside of `run` ends it. */
  #finish: (end: FollowEnd) => void = () => {};
  #fail: (error: unknown) => void = () => {};
  readonly #finished: Promise<FollowEnd>;

  constructor(
    private readonly turnId: string,
    private readonly options: FollowOptions,
    private readonly shared: Shared | null,
  ) {
    this.#cursor = options.cursor;
    this.#timing = { ...TIMING, ...options.timing };
    this.#slots = shared?.slots ?? slots;
    this.#ending = anyOf(options.signal);
    this.#finished = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
  }

  async run(): Promise<FollowEnd> {
    const { signal } = this.#ending;
    const aborted = new Promise<FollowEnd>((resolve) => {
      if (signal.aborted) resolve({ how: "aborted" });
      signal.addEventListener("abort", () => resolve({ how: "aborted" }));
    });
    const end = await Promise.race([this.#finished, this.#takePart(), aborted]);
    return end.how === "nothing" && this.#isOver ? { how: "final" } : end;
  }

  leave(): void {
    this.#ending.abort();
    this.#catchUp?.abort();
    clearTimeout(this.#silence);
    this.#channel?.close();
    this.#channel = null;
  }

  async #takePart(): Promise<FollowEnd> {
    const { shared } = this;
    if (shared === null || !this.#open(shared)) return this.#alone(this.#ending.signal);
    let slot: Slot | null = null;
    try {
      for (;;) {
        const term = await this.#term(shared, slot);
        slot = null;
        // The lock is not kept without a slot: another tab may have one.
        if (term.how === "no-slot") slot = await this.#slots.wait(this.turnId, this.#ending.signal);
        else if (term.how !== "taken") return term;
      }
    } catch (error) {
      if (this.#ending.signal.aborted) return { how: "aborted" };
      throw error;
    }
  }

  /** Joins the others; `false` where the browser does not let us. */
  #open(shared: Shared): boolean {
    try {
      this.#channel = shared.channel(`paliadin.turn:${this.turnId}`);
    } catch {
      return false;
    }
    this.#channel.onmessage = (message: MessageEvent<Message>) => {
      try {
        this.#hear(message.data);
      } catch (error) {
        this.#fail(error);
      }
    };
    this.#show("connecting");
    this.#say({ kind: "hello" });
    this.#expect(this.#timing.helloMs);
    return true;
  }

  /** Waits for the lock and follows; with a slot in hand only if the lock is free. */
  async #term(shared: Shared, slot: Slot | null): Promise<Term> {
    const { signal } = this.#ending;
    let wasAsked = false;
    const request = slot === null ? { signal } : { ifAvailable: true };
    try {
      return await shared.locks.request(
        `paliadin.turn:${this.turnId}`,
        request,
        async (lock): Promise<Term> => {
          wasAsked = true;
          return lock === null ? { how: "taken" } : this.#hold(slot);
        },
      );
    } catch (error) {
      // A browser may have locks and not allow them.
      if (wasAsked || signal.aborted) throw error;
      return await this.#alone(signal);
    } finally {
      slot?.release();
    }
  }

  async #hold(given: Slot | null): Promise<Term> {
    if (this.#ending.signal.aborted) return { how: "aborted" };
    this.#stopCatchUp();
    const slot = given ?? this.#slots.take(this.turnId);
    if (slot === null) {
      this.#expect(this.#timing.helloMs);
      return { how: "no-slot" };
    }
    clearTimeout(this.#silence);
    this.#isHolder = true;
    try {
      const end = await this.#follow(slot, this.#ending.signal);
      if (end.how !== "aborted" || this.#ending.signal.aborted) return end;
      this.#expect(this.#timing.helloMs);
      return { how: "no-slot" };
    } finally {
      this.#isHolder = false;
      slot.release();
    }
  }

  /** Follows over HTTP in slots, as many as it takes. */
  async #alone(signal: AbortSignal): Promise<FollowEnd> {
    while (!signal.aborted) {
      const slot = await this.#slots.wait(this.turnId, signal).catch(() => null);
      if (slot === null) break;
      const end = await this.#follow(slot, signal).finally(() => slot.release());
      if (end.how !== "aborted") return end;
    }
    return { how: "aborted" };
  }

  async #follow(slot: Slot, signal: AbortSignal): Promise<FollowEnd> {
    const ending = anyOf(signal, slot.lost);
    try {
      return await follow({
        ...this.options,
        cursor: this.#cursor,
        signal: ending.signal,
        onEvent: (event) => this.#deliver(event),
        onLink: (link) => this.#show(link),
      });
    } finally {
      ending.abort();
    }
  }

  #deliver(event: TurnEvent): void {
    const before = this.#cursor;
    if (event.id !== null) this.#cursor = event.id;
    if (isFinal(event)) this.#isOver = true;
    this.#hasAsked ||= event.event === "attention";
    if (event.event === "attention" || event.event === "resync") this.#mayBeOver = true;
    if (event.event === "thinking") this.#mayBeOver = false;
    if (this.#isHolder) this.#say({ kind: "event", before, event });
    this.options.onEvent(event);
    if (
      this.#catchUp &&
      !this.#mayBeOver &&
      !this.#isOver &&
      this.#holderAt !== undefined &&
      compareIds(this.#cursor, this.#holderAt) >= 0
    ) {
      // In step. What the holder says from now on is heard.
      this.#stopCatchUp();
    }
  }

  #show(link: Link): void {
    if (this.#isHolder) this.#say({ kind: "here", cursor: this.#cursor, link });
    if (link !== this.#link) this.options.onLink?.(link);
    this.#link = link;
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }

  #hear(message: Message): void {
    if (this.#ending.signal.aborted) return;
    if (this.#isHolder) {
      // From a holder before us there may be words on their way; we go on from what we hold.
      if (message.kind === "hello") this.#show(this.#link ?? "connecting");
      return;
    }
    if (message.kind === "hello") return;
    this.#expect(this.#timing.silenceMs);
    this.#holderAt = message.kind === "here" ? message.cursor : (message.event.id ?? message.before);
    // That brings everything.
    if (this.#catchUp && this.#mayBeOver) return;
    if (message.kind === "here") {
      if (compareIds(message.cursor, this.#cursor) > 0) return this.#fallBehind();
      this.#stopCatchUp();
      return this.#show(message.link);
    }
    const { before, event } = message;
    if (before === this.#cursor) {
      this.#stopCatchUp();
      this.#show("live");
      this.#deliver(event);
      if (event.event === "end") this.#finish({ how: "final" });
    } else if (event.event !== "resync" && compareIds(event.id ?? before, this.#cursor) <= 0) {
      // We were faster: the holder comes to where we are.
      this.#stopCatchUp();
    } else {
      this.#fallBehind();
    }
  }

  /** The holder has to be heard within `ms` milliseconds. */
  #expect(ms: number): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#holderAt = undefined;
      this.#fallBehind();
    }, ms);
  }

  /** Gets what is missing over HTTP, until a broadcast shows that nothing is. */
  #fallBehind(): void {
    if (this.#catchUp || this.#isHolder || this.#ending.signal.aborted) return;
    const catchUp = anyOf(this.#ending.signal);
    this.#catchUp = catchUp;
    this.#mayBeOver = this.#hasAsked;
    this.#alone(catchUp.signal).then(
      (end) => {
        if (!catchUp.signal.aborted) this.#finish(end);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #stopCatchUp(): void {
    this.#catchUp?.abort();
    this.#catchUp = null;
  }
}
