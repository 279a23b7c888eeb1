/** Stands in for lib/stream/share: streams whose events the test sends. */

import type { FollowEnd, FollowOptions, Link } from "../../lib/stream/client";
import type { TurnEvent } from "../../lib/wire";

class Stream {
  isOpen = true;
  #end: (end: FollowEnd) => void = () => {};
  readonly ended: Promise<FollowEnd>;

  constructor(
    readonly turnId: string,
    readonly options: FollowOptions,
  ) {
    this.ended = new Promise((resolve) => (this.#end = resolve));
    options.signal.addEventListener("abort", () => this.end({ how: "aborted" }));
    if (options.signal.aborted) this.end({ how: "aborted" });
  }

  send(...events: TurnEvent[]): void {
    for (const event of events) this.options.onEvent(event);
  }

  link(link: Link): void {
    this.options.onLink?.(link);
  }

  end(end: FollowEnd = { how: "final" }): void {
    this.isOpen = false;
    this.#end(end);
  }
}

let streams: Stream[] = [];

export function followShared(turnId: string, options: FollowOptions): Promise<FollowEnd> {
  const stream = new Stream(turnId, options);
  streams.push(stream);
  return stream.ended;
}

/** The streams of a turn that were ever opened, and all of them without an id. */
export function opened(turnId?: string): Stream[] {
  return streams.filter((stream) => turnId === undefined || stream.turnId === turnId);
}

/** The one stream of this turn that is open. */
export function streamOf(turnId: string): Stream {
  const found = opened(turnId).filter((stream) => stream.isOpen);
  if (found.length !== 1 || !found[0]) throw new Error(`${found.length} open streams of ${turnId}`);
  return found[0];
}

export function forgetStreams(): void {
  streams = [];
}
