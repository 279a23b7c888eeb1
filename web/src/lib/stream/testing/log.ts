/** A turn's log as the server keeps it (src/streams/log.rs), for tests of those who follow it. */

import type { TurnEvent } from "../../wire";
import { isFinal } from "../events";
import type { Random } from "./random";

type Kind = TurnEvent["event"];

interface Entry {
  id: string;
  event: Kind;
  data: Record<string, unknown>;
}

/** What a reader gets first, and the place in the log at which it goes on. */
export interface Position {
  frames: string;
  index: number;
}

export class TurnLog {
  readonly entries: Entry[] = [];
  #epoch = 0;
  #seq = 0;
  #changed: (() => void)[] = [];

  get isOver(): boolean {
    return this.entries.some((entry) => isFinal(entry as TurnEvent));
  }

  /** The answer, by the rule of concatenation. */
  get text(): string {
    return textOf(this.entries);
  }

  push(event: Kind, data: Record<string, unknown>): void {
    this.entries.push({ id: `${this.#epoch}-${++this.#seq}`, event, data });
    for (const call of this.#changed.splice(0)) call();
  }

  content(delta: string): void {
    this.push("content", { delta, streamed: true });
  }

  beginEpoch(): void {
    this.#epoch++;
    this.#seq = 0;
  }

  /** A server that died and had not written down the last `lost` events. */
  restart(lost: number): void {
    this.entries.length = Math.max(1, this.entries.length - lost);
    this.beginEpoch();
  }

  end(late = false): void {
    const data = { turn_id: "t", used_tools: [], rows_seen: [], chip_count: 0, classifier_tag: null };
    this.push("end", { ...data, duration_ms: 1, streamed: true, late });
  }

  fail(): void {
    this.push("error", { code: "uncertain", message: "", retryable: true });
  }

  /** `null` where nothing follows any more. */
  position(cursor: string | null): Position | null {
    if (cursor === null) return { frames: "", index: 0 };
    const index = this.entries.findIndex((entry) => entry.id === cursor);
    if (index >= 0)
      return index === this.entries.length - 1 && this.isOver ? null : { frames: "", index: index + 1 };
    const open = this.entries.findLastIndex((entry) => !isFinal(entry as TurnEvent));
    const covered = this.entries.slice(0, open + 1);
    const data = { text: textOf(covered) };
    return { frames: frame({ id: covered.at(-1)?.id ?? "0-0", event: "resync", data }), index: open + 1 };
  }

  /** Resolves when there is more. */
  more(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }
}

export function frame(entry: { id?: string; event: string; data: unknown }): string {
  const id = entry.id === undefined ? "" : `id: ${entry.id}\n`;
  return `${id}event: ${entry.event}\ndata: ${JSON.stringify(entry.data)}\n\n`;
}

/** A whole turn: what happens in it, one step at a time. */
export function* script(log: TurnLog, random: Random): Generator<void> {
  const letters = ["a", "ü", "€", "🜍", "\n", '"', " "];
  log.push("queued", { turn_id: "t", position: 0 });
  yield;
  log.beginEpoch();
  log.push("meta", { turn_id: "t", started_at: "2026-11-21T04:10:00.000Z" });
  yield;
  for (let count = random.below(30); count >= 0; count--) {
    const length = 1 + random.below(20);
    log.content(Array.from({ length }, () => letters[random.below(letters.length)]).join(""));
    yield;
    if (random.below(12) === 0) {
      log.restart(random.below(4));
      yield;
    }
  }
  if (random.below(3) === 0) log.push("resync", { text: `${log.text.slice(0, 9)} another text` });
  if (random.below(3) === 0) {
    log.beginEpoch();
    log.fail();
    if (random.below(2) === 0) return;
    log.push("resync", { text: "what came late" });
    log.end(true);
  } else {
    log.end();
  }
}

function textOf(entries: readonly Entry[]): string {
  let text = "";
  for (const { event, data } of entries) {
    if (event === "content") text += String(data.delta ?? data.text);
    if (event === "resync") text = String(data.text);
  }
  return text;
}
