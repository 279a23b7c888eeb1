/** One turn on the page: a cell of its own, so that an event draws this turn again and no other. */

import type { Hindrance } from "../lib/outbox";
import type { TurnView } from "../lib/turn";
import type { RecoveryState } from "../lib/wire";

export class TurnCell {
  view: TurnView = $state.raw() as TurnView;
  /** The stream to the server is down just now. */
  reconnecting = $state(false);
  /** Why the message is still here, where it is. */
  held: Hindrance | "signed-out" | null = $state(null);
  /** Whether an answer may still come after the turn failed, as the server said; `null` where it has not been asked. */
  recovery: RecoveryState | null = $state(null);
  /** Its answer came while the page was watching: it may be typed out. */
  watched = false;

  constructor(view: TurnView) {
    this.view = view;
  }
}
