/**
 * Looks for the answer of a turn that failed: the agent may have gone on without us. Whether there is still hope is the
 * server's word alone, so no clock of ours ends it.
 */

import { ApiError } from "../lib/api";
import { fromRow } from "../lib/turn";
import { anyOf, pause } from "../lib/wait";
import type { RecoveredRow } from "../lib/wire";
import type { TurnCell } from "./turn.svelte";

/** First and longest wait between two looks, in milliseconds. */
export const FIRST = 1_000;
const LONGEST = 15_000;
/**
 * By how much of itself a wait may be shorter. Tabs tell each other what they were answered, and each begins its wait
 * anew when it hears that; so mostly the one with the shortest wait asks for all.
 */
const SPREAD = 0.25;

/** Why a wait is over. */
type Woken = "time" | "hurried" | "heard";

export class LateLook {
  readonly #cell: TurnCell;
  readonly #recover: () => Promise<RecoveredRow>;
  readonly #signal: AbortSignal;
  #wake: (why: Woken) => void = () => {};

  /** `recover` asks the server, once. */
  constructor(cell: TurnCell, recover: () => Promise<RecoveredRow>, signal: AbortSignal) {
    this.#cell = cell;
    this.#recover = recover;
    this.#signal = signal;
  }

  /** Asks after `wait` milliseconds, and again until the turn is answered or the server says that it never will be. */
  async run(wait: number): Promise<void> {
    while (this.#isWanted) {
      const why = await this.#rest(wait);
      if (!this.#isWanted) break;
      if (why !== "heard" && !(await this.#ask())) break;
      wait = why === "hurried" || wait === 0 ? FIRST : Math.min(wait * 2, LONGEST);
    }
    if (this.#cell.recovery !== "lost") this.#cell.recovery = null;
  }

  /** There is reason to ask now: the reader or the server is back. */
  hurry(): void {
    this.#wake("hurried");
  }

  /** Takes an answer, also one that another tab was given. */
  hear(answer: RecoveredRow): void {
    if (!this.#isWanted) return;
    this.#cell.view = fromRow(answer, this.#cell.view);
    this.#cell.recovery = answer.recovery_state;
    this.#wake("heard");
  }

  get #isWanted(): boolean {
    return !this.#signal.aborted && this.#cell.view.phase === "failed" && this.#cell.recovery !== "lost";
  }

  /** False where there is nothing to be asked for any more. */
  async #ask(): Promise<boolean> {
    try {
      this.hear(await this.#recover());
    } catch (error) {
      return !(error instanceof ApiError && error.status === 404);
    }
    return true;
  }

  async #rest(ms: number): Promise<Woken> {
    const rest = anyOf(this.#signal);
    let woken: Woken = "time";
    this.#wake = (why) => {
      woken = why;
      rest.abort();
    };
    // Rejects when it is cut short.
    await pause(ms * (1 - SPREAD * Math.random()), rest.signal).catch(() => {});
    this.#wake = () => {};
    rest.abort();
    return woken;
  }
}
