/** From the text of an event stream to its events. */

import type { TurnEvent } from "../wire";

/** What is not as docs/protocol.md tells it. */
export class Malformed extends Error {}

const ID = /^(\d+)-(\d+)$/;

/** How `a` stands to `b` in the order of a turn's events: by epoch, then by number. No id at all is before all. */
export function compareIds(a: string | null, b: string | null): number {
  const [epochA, seqA] = places(a);
  const [epochB, seqB] = places(b);
  return epochA - epochB || seqA - seqB;
}

/** One number for an id, the same in every tab; greater for later ones. */
export function idNumber(id: string): number {
  const [epoch, seq] = places(id);
  return epoch * 2 ** 32 + seq;
}

/**
 * Whether an event with this id goes on from `cursor`. A `resync` always does: it says what the text is at its id, and
 * that may be before the cursor, where a server lost what it had sent last (see `follow`).
 */
export function isNews(event: TurnEvent, cursor: string | null): boolean {
  return event.id === null || event.event === "resync" || compareIds(event.id, cursor) > 0;
}

export function isFinal(event: TurnEvent): boolean {
  return event.event === "end" || event.event === "error";
}

type Check = (data: Record<string, unknown>) => boolean;

/** What of an event's data must be there, so that nobody who takes it stumbles. */
const KNOWN: Record<TurnEvent["event"], Check> = {
  queued: (data) => typeof data.position === "number",
  meta: (data) => typeof data.started_at === "string",
  content: (data) => typeof data.delta === "string" || typeof data.text === "string",
  attention: (data) => typeof data.prompt === "string" && Array.isArray(data.options),
  resync: (data) => typeof data.text === "string",
  end: (data) => Array.isArray(data.used_tools) && Array.isArray(data.rows_seen),
  error: (data) => typeof data.code === "string",
  thinking: (data) => typeof data.elapsed_seconds === "number" && typeof data.upstream === "string",
  ping: () => true,
};

/** `null` for a kind that we do not know: later servers may have more. Throws `Malformed`. */
export function parseEvent(kind: string | undefined, id: string | undefined, data: string): TurnEvent | null {
  if (kind === undefined || !Object.hasOwn(KNOWN, kind)) return null;
  const event = kind as TurnEvent["event"];
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw new Malformed(`the data of ${event} is no JSON`);
  }
  if (typeof value !== "object" || value === null || !KNOWN[event](value as Record<string, unknown>)) {
    throw new Malformed(`the data of ${event} is not what it must be`);
  }
  if (event === "thinking" || event === "ping") return { id: null, event, data: value } as TurnEvent;
  if (id === undefined || !ID.test(id)) throw new Malformed(`${event} without an id`);
  return { id, event, data: value } as TurnEvent;
}

function places(id: string | null): [number, number] {
  const match = id === null ? null : ID.exec(id);
  return match ? [Number(match[1]), Number(match[2])] : [-1, 0];
}
