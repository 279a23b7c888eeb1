/** A server of one turn within the test's own process, with connections that can be cut. */

import { frame, type TurnLog } from "./log";

/** What follows a question that is over by now. */
const OVER = `event: thinking\ndata: {"elapsed_seconds":1,"since_first":1,"upstream":"answering","activity":null}\n\n`;

interface Open {
  cut(): void;
}

export class TurnServer {
  readonly open = new Set<Open>();
  /** How many requests came. */
  requests = 0;
  /** Says what answers instead of the stream, if anything does. */
  instead: () => Response | null = () => null;

  constructor(readonly log: TurnLog) {}

  cutAll(): void {
    for (const connection of this.open) connection.cut();
  }

  readonly fetch: typeof fetch = async (input, init = {}) => {
    this.requests++;
    const { signal } = init;
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
    const instead = this.instead();
    if (instead) return instead;
    const cursor = new URL(String(input), "http://localhost").searchParams.get("last_event_id");
    const position = this.log.position(cursor);
    if (position === null) return new Response(null, { status: 204 });
    return new Response(this.#stream(position.frames, position.index, signal ?? null), {
      headers: { "Content-Type": "text/event-stream" },
    });
  };

  #stream(first: string, from: number, signal: AbortSignal | null): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    let isOpen = true;
    let connection: Open;
    const forget = () => {
      isOpen = false;
      this.open.delete(connection);
    };
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        const fail = () => {
          if (isOpen) controller.error(new TypeError("cut"));
          forget();
        };
        connection = { cut: fail };
        this.open.add(connection);
        signal?.addEventListener("abort", fail);
        const run = async () => {
          if (first !== "") controller.enqueue(encoder.encode(first));
          // Whoever comes may hold one from before.
          let hasAsked = this.log.entries.some(({ event }) => event === "attention");
          for (let index = from; isOpen;) {
            const entry = this.log.entries[index];
            if (entry) {
              hasAsked ||= entry.event === "attention";
              controller.enqueue(encoder.encode(frame(entry)));
              index++;
            } else if (this.log.isOver) {
              controller.close();
              forget();
            } else if (hasAsked) {
              hasAsked = false;
              controller.enqueue(encoder.encode(OVER));
            } else {
              await this.log.more();
            }
          }
        };
        void run();
      },
      cancel: forget,
    });
  }
}
