/** Looks for answers that come after their turn has failed. */

import { fromRow, type TurnView } from "../lib/turn";
import { pause } from "../lib/wait";
import type { TurnCell } from "./turn.svelte";
import type { TurnRow } from "../lib/wire";

/** How long after the question an answer is still looked for, in milliseconds. */
const GIVE_UP = 12 * 60_000;
/** First and longest wait between two looks, in milliseconds. */
const FIRST = 5_000;
const LONGEST = 60_000;

/** After these the agent may have gone on without us. */
const CODES = new Set(["timeout", "upstream_silence", "uncertain", "host_unreachable", "shim_error"]);

export function mayComeLate(view: TurnView, now: number): boolean {
  return (
    view.phase === "failed" && CODES.has(view.error?.code ?? "") && now - Date.parse(view.askedAt) < GIVE_UP
  );
}

/** Asks for the turn's row until it has an answer, or nothing is to be hoped for any more. */
export async function watchForLate(
  cell: TurnCell,
  read: () => Promise<TurnRow>,
  signal: AbortSignal,
): Promise<void> {
  cell.lookingForLate = true;
  try {
    for (let wait = FIRST; mayComeLate(cell.view, Date.now()); wait = Math.min(wait * 2, LONGEST)) {
      await pause(wait, signal);
      try {
        cell.view = fromRow(await read(), cell.view);
      } catch {
        if (signal.aborted) return;
      }
    }
  } catch {
    // Left the conversation.
  } finally {
    cell.lookingForLate = false;
  }
}
