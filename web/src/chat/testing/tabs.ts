/** Stands in for ../tabs: the test is all the other tabs. */

import type { TabNews, Tabs } from "../tabs";

/** What the page told the others. */
export const told: TabNews[] = [];
/** Another tab tells this. */
export let hear: (news: TabNews) => void = () => {};

export function openTabs(_user: string, listener: (news: TabNews) => void): Tabs {
  hear = listener;
  return { tell: (news) => void told.push(news), close: () => {} };
}
