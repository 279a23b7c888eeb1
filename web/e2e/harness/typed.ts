/** What was typed into the agents, as they took it down themselves. */

import { existsSync, readFileSync } from "node:fs";

const ENVELOPE = /^\[PALIADIN:([0-9a-f-]{36})[^\]]*\] ?([^]*)$/;

/** One submission. */
export interface Typed {
  /** `null` for what was said to a question of the agent, which has no envelope. */
  turnId: string | null;
  /** The message; empty where it was handed over in a file. */
  message: string;
  /** The agent session's name. */
  session: string | null;
}

/** Every submission so far; a line that is being written is left out. */
export function readTyped(log: string): Typed[] {
  if (!existsSync(log)) return [];
  const text = readFileSync(log, "utf8");
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      const { raw, session } = JSON.parse(line) as { raw: string; session: string | null };
      const [, turnId, message] = ENVELOPE.exec(raw) ?? [];
      return { turnId: turnId ?? null, message: message ?? raw, session };
    });
}

/** The turns that were typed more than once. */
export function typedTwice(log: string): string[] {
  const times = new Map<string, number>();
  for (const { turnId } of readTyped(log)) {
    if (turnId !== null) times.set(turnId, (times.get(turnId) ?? 0) + 1);
  }
  return [...times].filter(([, count]) => count > 1).map(([turnId]) => turnId);
}
