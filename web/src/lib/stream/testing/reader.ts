/** Somebody who follows a turn in a test: takes every event as a page does, and notices what must not happen. */

import { apply, fromQuestion, type TurnView } from "../../turn";
import type { TurnEvent } from "../../wire";
import { compareIds } from "../events";

export class Reader {
  readonly events: TurnEvent[] = [];
  view: TurnView;
  cursor: string | null = null;
  /** By the plain rule of concatenation, without any care for ids. */
  text = "";

  constructor() {
    const ask = { user_message: "Hello", session_id: "s", client_turn_id: "c" };
    this.view = fromQuestion(ask, new Date(0));
  }

  readonly onEvent = (event: TurnEvent): void => {
    if (event.id !== null) {
      if (event.event !== "resync" && compareIds(event.id, this.cursor) <= 0) {
        throw new Error(`${event.id} came after ${this.cursor}`);
      }
      this.cursor = event.id;
    }
    this.events.push(event);
    this.view = apply(this.view, event, 0);
    if (event.event === "content") this.text += "text" in event.data ? event.data.text : event.data.delta;
    if (event.event === "resync") this.text = event.data.text;
  };

  /** The kinds of all events, in order. */
  get kinds(): string {
    return this.events.map((event) => event.event).join(" ");
  }
}
