/** Stands in for ../tabs: the test is all the other tabs. */

import type { TabNews, Tabs } from "../tabs";

/** What the page told the others. */
export const told: TabNews[] = [];
/** Another tab tells this. */
export let hear: (news: TabNews) => void = () => {};

/** Another tab tells that somebody else is signed in. */
export let anotherUser: () => void = () => {};

export function announceUser(_user: string, _signal: AbortSignal, another: () => void): void {
  anotherUser = another;
}

export function openTabs(_user: string, listener: (news: TabNews) => void): Tabs {
  hear = listener;
  return { tell: (news) => void told.push(news), close: () => {} };
}
