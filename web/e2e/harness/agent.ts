/** Stands in for an agent: writes a turn's files where the server expects them, while the demo agent hangs (`!hang`). */

import { appendFileSync, existsSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Server } from "./server";

/** Whether the whole answer to this turn lies where the server finds it. */
export function hasAnswered(server: Server, turnId: string): boolean {
  const spools = join(server.state, "spool");
  return readdirSync(spools).some((name) => existsSync(join(spools, name, "out", `${turnId}.txt`)));
}

export class Hand {
  readonly #turnId: string;
  readonly #out: string;

  /** Of the turn that the user's agent has just now. */
  constructor(server: Server, userId: string, turnId: string) {
    const spools = join(server.state, "spool");
    const name = readdirSync(spools).find((entry) => entry.endsWith(userId.slice(0, 8)));
    if (name === undefined) throw new Error(`user ${userId} has no spool`);
    this.#out = join(spools, name, "out");
    this.#turnId = turnId;
  }

  /** The next piece of the answer. */
  writes(piece: string): void {
    appendFileSync(join(this.#out, `${this.#turnId}.part`), piece, { mode: 0o600 });
  }

  /** The whole answer: the turn is over. */
  finishes(answer: string): void {
    const path = join(this.#out, `.${this.#turnId}.new`);
    writeFileSync(path, answer, { mode: 0o600 });
    renameSync(path, join(this.#out, `${this.#turnId}.txt`));
  }

  /** A line of `events.jsonl`, such as `attention` or `activity`. */
  signals(event: string, fields: Record<string, unknown> = {}): void {
    const line = { at: Date.now(), event, turn_id: this.#turnId, ...fields };
    appendFileSync(join(this.#out, "events.jsonl"), `${JSON.stringify(line)}\n`, { mode: 0o600 });
  }
}
