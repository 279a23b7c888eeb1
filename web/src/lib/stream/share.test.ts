// @vitest-environment node
import { afterEach, expect, test, vi } from "vitest";
import type { FollowEnd, FollowOptions, Link, Timing } from "./client";
import { followShared, type Shared } from "./share";
import { Browser, type Tab } from "./testing/browser";
import { script, TurnLog } from "./testing/log";
import { seeded } from "./testing/random";
import { Reader } from "./testing/reader";
import { TurnServer } from "./testing/server";

const QUICK: Partial<Timing> = { retryMs: 2, ceilingMs: 10, helloMs: 200, random: () => 0.5 };

const opened: Tab[] = [];
afterEach(() => {
  for (const tab of opened.splice(0)) tab.close();
});

/** What one tab does: it follows, and keeps what it learns. */
interface Following {
  tab: Tab;
  reader: Reader;
  links: Link[];
  end: Promise<FollowEnd>;
}

interface More extends Partial<FollowOptions> {
  turnId?: string;
  reader?: Reader;
  shared?: Shared | null;
}

function start(server: TurnServer, tab: Tab, more: More = {}): Following {
  opened.push(tab);
  const { turnId = "t", reader = new Reader(), shared = tab.shared, ...options } = more;
  const links: Link[] = [];
  const end = followShared(
    turnId,
    {
      url: `/api/paliadin/stream/${turnId}`,
      cursor: reader.cursor,
      onEvent: reader.onEvent,
      onLink: (link) => links.push(link),
      signal: tab.signal,
      fetch: server.fetch,
      ...options,
      timing: { ...QUICK, ...options.timing },
    },
    shared,
  );
  end.catch(() => {});
  return { tab, reader, links, end };
}

const until = (check: () => void) => vi.waitFor(check, { interval: 1, timeout: 5000 });
const reaches = (followings: Following[], text: string) =>
  until(() => expect(followings.map(({ reader }) => reader.text)).toEqual(followings.map(() => text)));

function begun(): { log: TurnLog; server: TurnServer; browser: Browser } {
  const log = new TurnLog();
  log.push("queued", { turn_id: "t", position: 0 });
  return { log, server: new TurnServer(log), browser: new Browser() };
}

test("three tabs, one connection, one text", async () => {
  const { log, server, browser } = begun();
  log.content("a");
  const tabs = [start(server, browser.open())];
  await reaches(tabs, "a");
  tabs.push(start(server, browser.open()), start(server, browser.open()));
  await reaches(tabs, "a");
  // Also while nothing happens.
  await until(() => expect(server.open.size).toBe(1));
  log.content("b");
  await reaches(tabs, "ab");
  const { requests } = server;
  log.content("c");
  await reaches(tabs, "abc");
  expect(server.requests).toBe(requests);
  log.end();
  for (const { end } of tabs) expect(await end).toEqual({ how: "final" });
  await reaches(tabs, "abc");
  // The lock may be passed on sooner than the last event: then whoever gets it asks whether there is more.
  expect(server.requests).toBeLessThanOrEqual(requests + 2);
  for (const { links } of tabs) expect(links.at(-1)).toBe("live");
});

test("a tab that catches up hears whether a question that it reads of is still open", async () => {
  const { log, server, browser } = begun();
  log.push("attention", { kind: "question", prompt: "Which?", options: [], name: "q" });
  log.content("a");
  const first = start(server, browser.open());
  await reaches([first], "a");
  await until(() => expect(first.links.at(-1)).toBe("live"));
  const heard: string[] = [];
  const second = start(server, browser.open(), { onEvent: ({ event }) => void heard.push(event) });
  await until(() => expect(heard).toContain("thinking"));
  expect(heard).toEqual(["queued", "attention", "content", "thinking"]);
  // And then it listens, as any other.
  await until(() => expect(server.open.size).toBe(1));
  log.end();
  expect(await second.end).toEqual({ how: "final" });
});

test("so does one that was in step when the question was asked, and missed what came then", async () => {
  const { log, server, browser } = begun();
  const first = start(server, browser.open());
  await until(() => expect(first.links.at(-1)).toBe("live"));
  const heard: string[] = [];
  const second = start(server, browser.open(), { onEvent: ({ event }) => void heard.push(event) });
  await until(() => expect([heard, server.open.size]).toEqual([["queued"], 1]));
  log.push("attention", { kind: "question", prompt: "Which?", options: [], name: "q" });
  await until(() => expect(heard).toEqual(["queued", "attention", "thinking"]));
  first.tab.isMute = true;
  log.content("a");
  await reaches([first], "a");
  first.tab.isMute = false;
  log.content("b");
  await until(() =>
    expect(heard).toEqual(["queued", "attention", "thinking", "content", "content", "thinking"]),
  );
  log.end();
  expect(await second.end).toEqual({ how: "final" });
});

test("when the tab that follows is closed, another goes on from where it is", async () => {
  const { log, server, browser } = begun();
  const tabs = [start(server, browser.open()), start(server, browser.open()), start(server, browser.open())];
  log.content("a");
  await reaches(tabs, "a");
  const [holder] = browser.holders();
  holder?.close();
  log.content("b");
  const others = tabs.filter(({ tab }) => tab !== holder);
  await reaches(others, "ab");
  browser.holders()[0]?.close();
  log.end();
  const last = others.filter(({ tab }) => !tab.isClosed);
  expect(last).toHaveLength(1);
  expect(await last[0]?.end).toEqual({ how: "final" });
  await reaches(last, "ab");
});

test("the end reaches every tab, also where the one that follows keeps it to itself", async () => {
  const { log, server, browser } = begun();
  const tabs = [start(server, browser.open()), start(server, browser.open())];
  log.content("a");
  await reaches(tabs, "a");
  const [holder] = browser.holders();
  if (holder) holder.isMute = true;
  log.content("b");
  log.end();
  for (const { end } of tabs) expect(await end).toEqual({ how: "final" });
  await reaches(tabs, "ab");
});

test("an answer that came late reaches those who listened to the failure", async () => {
  const { log, server, browser } = begun();
  const tabs = [start(server, browser.open()), start(server, browser.open())];
  log.content("a");
  await reaches(tabs, "a");
  log.fail();
  log.push("resync", { text: "late" });
  log.end(true);
  for (const { end, reader } of tabs) {
    expect(await end).toEqual({ how: "final" });
    expect(reader.view).toMatchObject({ phase: "done", late: true, text: "late" });
  }
});

test("a failure is final for all", async () => {
  const { log, server, browser } = begun();
  const tabs = [start(server, browser.open()), start(server, browser.open())];
  log.content("a");
  await reaches(tabs, "a");
  log.fail();
  for (const { end, reader } of tabs) {
    expect(await end).toEqual({ how: "final" });
    expect(reader.kinds).toBe("queued content error");
  }
});

test("a tab that holds the lock and says nothing is not waited for", async () => {
  const { log, server, browser } = begun();
  const frozen = browser.open();
  const first = start(server, frozen);
  log.content("a");
  await reaches([first], "a");
  frozen.isMute = true;
  const second = start(server, browser.open(), { timing: { helloMs: 20 } });
  await reaches([second], "a");
  log.content("b");
  await reaches([second], "ab");
  // It is heard again: one connection is enough.
  frozen.isMute = false;
  log.content("c");
  await reaches([first, second], "abc");
  log.content("d");
  await until(() => expect(server.open.size).toBe(1));
  // And falls silent again.
  frozen.isMute = true;
  log.end();
  expect(await second.end).toEqual({ how: "final" });
  await reaches([first, second], "abcd");
});

test("silence while it listens counts, too", async () => {
  const { log, server, browser } = begun();
  const tabs = [browser.open(), browser.open()].map((tab) =>
    start(server, tab, { timing: { silenceMs: 60 } }),
  );
  log.content("a");
  await reaches(tabs, "a");
  await until(() => expect(server.open.size).toBe(1));
  const [holder] = browser.holders();
  if (holder) holder.isMute = true;
  log.content("b");
  await reaches(tabs, "ab");
});

test("the others are told when the connection is broken", async () => {
  const { log, server, browser } = begun();
  const tabs = [start(server, browser.open()), start(server, browser.open())];
  log.content("a");
  await reaches(tabs, "a");
  server.instead = () => new Response("", { status: 503 });
  server.cutAll();
  await until(() => expect(tabs.map(({ links }) => links.includes("waiting"))).toEqual([true, true]));
  server.instead = () => null;
  await until(() => expect(tabs.map(({ links }) => links.at(-1))).toEqual(["live", "live"]));
});

test("nothing to follow, refused, aborted: as without others", async () => {
  const { log, server, browser } = begun();
  log.end();
  const reader = new Reader();
  reader.cursor = "0-2";
  expect(await start(server, browser.open(), { reader }).end).toEqual({ how: "nothing" });
  server.instead = () => new Response(JSON.stringify({ code: "not_found", detail: "" }), { status: 404 });
  for (const { end } of [start(server, browser.open()), start(server, browser.open())]) {
    expect(await end).toMatchObject({ how: "refused", error: { code: "not_found" } });
  }
  const tab = browser.open();
  tab.close();
  expect(await start(server, tab).end).toEqual({ how: "aborted" });
  expect(browser.holders()).toEqual([]);
  expect(browser.channels.size).toBe(0);
});

test("a listener can be aborted, and leaves nothing behind", async () => {
  const { log, server, browser } = begun();
  const first = start(server, browser.open());
  log.content("a");
  await reaches([first], "a");
  const ending = new AbortController();
  const second = start(server, browser.open(), { signal: ending.signal });
  await reaches([second], "a");
  ending.abort();
  expect(await second.end).toEqual({ how: "aborted" });
  expect(browser.channels.size).toBe(1);
  log.end();
  expect(await first.end).toEqual({ how: "final" });
});

test("a page's own error ends its call aloud, and no other tab's", async () => {
  const { log, server, browser } = begun();
  const first = start(server, browser.open());
  const mistake = new Error("a mistake");
  const onEvent = () => {
    throw mistake;
  };
  const listener = start(server, browser.open(), { onEvent });
  await expect(listener.end).rejects.toBe(mistake);
  log.content("a");
  await reaches([first], "a");
  const own = browser.open();
  const holder = start(server, own, { onEvent, turnId: "u" });
  await expect(holder.end).rejects.toBe(mistake);
  expect(browser.holders()).toHaveLength(1);
});

test("without locks, or where they are not allowed, every tab follows by itself", async () => {
  const { log, server, browser } = begun();
  const request = () => Promise.reject(new DOMException("no", "SecurityError"));
  const refusing = browser.open();
  const shared = { ...refusing.shared, locks: { request } };
  const tabs = [start(server, browser.open(), { shared: null }), start(server, refusing, { shared })];
  log.content("a");
  await reaches(tabs, "a");
  expect(server.open.size).toBe(2);
  log.end();
  for (const { end } of tabs) expect(await end).toEqual({ how: "final" });
});

test("a tab follows two turns at once, the oldest first; another tab takes what it leaves", async () => {
  const browser = new Browser();
  const tab = browser.open();
  const turn = (turnId: string) => {
    const log = new TurnLog();
    log.content(turnId);
    const server = new TurnServer(log);
    return { log, server, following: start(server, tab, { turnId }) };
  };
  const [third, second] = [turn("3"), turn("2")];
  await until(() => expect([third.server.open.size, second.server.open.size]).toEqual([1, 1]));
  const first = turn("1");
  await reaches([first.following], "1");
  await until(() => expect(third.server.open.size).toBe(0));
  const elsewhere = start(third.server, browser.open(), { turnId: "3" });
  await reaches([elsewhere], "3");
  // What the other tab follows is heard here, without a slot.
  third.log.content("!");
  await reaches([elsewhere, third.following], "3!");
  first.log.end();
  expect(await first.following.end).toEqual({ how: "final" });
  second.log.end();
  third.log.end();
  for (const { end } of [second.following, third.following, elsewhere]) {
    expect(await end).toEqual({ how: "final" });
  }
});

test("whatever is cut or closed, every tab ends with the same text", { timeout: 120_000 }, async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const log = new TurnLog();
    const server = new TurnServer(log);
    const browser = new Browser(random);
    const steps = script(log, random);
    const timing = { ...QUICK, helloMs: 5 + random.below(30), silenceMs: 30 + random.below(50) };
    let tabs: Following[] = [];
    const close = (following: Following | undefined) => {
      following?.tab.close();
      tabs = tabs.filter((other) => other !== following);
    };
    steps.next();
    for (let isDone = false; !isDone;) {
      if (tabs.length < 4 && random.below(3) === 0) tabs.push(start(server, browser.open(), { timing }));
      switch (random.below(12)) {
        case 0:
          close(tabs[random.below(tabs.length)]);
          break;
        case 1:
          close(tabs.find(({ tab }) => browser.holders().includes(tab)));
          break;
        case 2: {
          // Reloaded, with what it held.
          const following = tabs[random.below(tabs.length)];
          close(following);
          if (following) tabs.push(start(server, browser.open(), { reader: following.reader, timing }));
          break;
        }
        case 3:
          server.cutAll();
          break;
        case 4:
          for (const { tab } of tabs) tab.isMute = random.below(4) === 0;
          break;
        case 5:
          server.instead = () => (random.below(3) === 0 ? new Response("", { status: 503 }) : null);
          break;
        default: {
          const known = log.entries.length;
          isDone = steps.next().done ?? false;
          if (log.entries.length < known) server.cutAll();
        }
      }
      await new Promise((resolve) => setTimeout(resolve, random.below(3)));
    }
    const watching = tabs;
    for (const { end } of watching) expect(await end, `seed ${seed}`).toEqual({ how: "final" });
    for (const { reader } of watching) {
      expect(reader.text, `seed ${seed}`).toBe(log.text);
      expect(reader.view.text, `seed ${seed}`).toBe(log.text);
      expect(reader.cursor, `seed ${seed}`).toBe(log.entries.at(-1)?.id);
    }
    expect(browser.holders(), `seed ${seed}`).toEqual([]);
    for (const { tab } of watching) tab.close();
  }
});
