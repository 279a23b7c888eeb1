/** What one tab tells the others of the same browser, so that they stay in step. */

import type { RecoveredRow } from "../lib/wire";

export type TabNews =
  /** A turn was accepted, cancelled or ended in this conversation. */
  | { kind: "turn"; sessionId: string; turnId: string }
  /** The list of conversations changed. */
  | { kind: "conversations" }
  /** A conversation was deleted. */
  | { kind: "deleted"; sessionId: string }
  /** Somebody answered what the agent asked. */
  | { kind: "answered"; turnId: string; number: number }
  /** The server was asked what is to be hoped for this turn, which failed. */
  | { kind: "recovery"; sessionId: string; answer: RecoveredRow };

export interface Tabs {
  tell(news: TabNews): void;
  close(): void;
}

/** Tabs of one browser that belong to the same user; another user who signs in there is none of our business. */
export function openTabs(user: string, hear: (news: TabNews) => void): Tabs {
  if (typeof BroadcastChannel === "undefined") return { tell: () => {}, close: () => {} };
  const channel = new BroadcastChannel(`paliadin.chat:${user}`);
  channel.onmessage = (event: MessageEvent<TabNews>) => hear(event.data);
  return { tell: (news) => channel.postMessage(news), close: () => channel.close() };
}

/** Tells all tabs of this browser who is signed in here, and calls back when another tab tells of somebody else. */
export function announceUser(user: string, signal: AbortSignal, another: () => void): void {
  if (typeof BroadcastChannel === "undefined") return;
  const channel = new BroadcastChannel("paliadin.user");
  channel.onmessage = (event: MessageEvent<string>) => {
    if (event.data !== user) another();
  };
  channel.postMessage(user);
  signal.addEventListener("abort", () => channel.close());
}
