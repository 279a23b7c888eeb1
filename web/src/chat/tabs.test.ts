import { afterEach, expect, test, vi } from "vitest";
import { announceUser, openTabs, type TabNews, type Tabs } from "./tabs";

const tabs: Tabs[] = [];
afterEach(() => {
  for (const tab of tabs.splice(0)) tab.close();
  vi.unstubAllGlobals();
});

/** A tab of this user, and what it heard. */
function open(user: string): { tab: Tabs; heard: TabNews[] } {
  const heard: TabNews[] = [];
  const tab = openTabs(user, (news) => heard.push(news));
  tabs.push(tab);
  return { tab, heard };
}

test("what one tells all others of the same user hear, in order", async () => {
  const [first, second, third, foreign] = [open("ada"), open("ada"), open("ada"), open("bob")];
  const news: TabNews[] = [
    { kind: "conversations" },
    { kind: "turn", sessionId: "s1", turnId: "t1" },
    { kind: "answered", turnId: "t1", number: 3 },
    { kind: "deleted", sessionId: "s1" },
  ];
  for (const piece of news) first.tab.tell(piece);
  await vi.waitFor(() => expect(third.heard).toHaveLength(4));
  expect(second.heard).toEqual(news);
  expect(third.heard).toEqual(news);
  expect(first.heard).toEqual([]);
  expect(foreign.heard).toEqual([]);
});

test("a closed tab hears nothing any more", async () => {
  const [first, second, third] = [open("ada"), open("ada"), open("ada")];
  second.tab.close();
  first.tab.tell({ kind: "conversations" });
  await vi.waitFor(() => expect(third.heard).toHaveLength(1));
  expect(second.heard).toEqual([]);
});

test("without channels every tab is alone", () => {
  vi.stubGlobal("BroadcastChannel", undefined);
  const { tab } = open("ada");
  expect(() => tab.tell({ kind: "conversations" })).not.toThrow();
});

test("whose tab it is all others hear, of whatever user", async () => {
  const ending = new AbortController();
  const tab = (user: string) => {
    const another = vi.fn<() => void>();
    announceUser(user, ending.signal, another);
    return another;
  };
  try {
    const [first, second] = [tab("ada"), tab("ada")];
    const third = tab("bob");
    await vi.waitFor(() => expect(second).toHaveBeenCalledTimes(1));
    expect(first).toHaveBeenCalledTimes(1);
    expect(third).not.toHaveBeenCalled();
  } finally {
    ending.abort();
  }
});
