import type { BrowserContext, Locator } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { PAYLOADS } from "../src/lib/markdown/corpus";
import { Hand } from "./harness/agent";
import type { ChatPage } from "./harness/chat";
import { Guard } from "./harness/guard";
import { seedConversation } from "./harness/seed";
import { gone, seen } from "./harness/wait";
import { type Opening, useWorld } from "./harness/world";

const world = useWorld();
/** So many users ask at once, each with an agent of their own. */
const ASKING = 4;
/** Less to draw, and nothing that moves: thousands of states are looked at. */
const PLAIN = { viewport: { width: 640, height: 400 }, reducedMotion: "reduce" } as const;
/** What the server lets a title be. */
const TITLES = PAYLOADS.map((payload) => payload.replaceAll(/\p{Cc}+/gu, " ").trim()).filter(
  ({ length }) => length > 0 && length <= 200,
);
const judged: string[] = [];

afterAll(() => console.info(judged.join("\n")));

/** The page of a new user, and what looks after it. */
async function guarded(options: Opening = {}): Promise<{ chat: ChatPage; guard: Guard }> {
  let guard: Guard | undefined;
  const prepare = async (context: BrowserContext) => {
    guard = new Guard(context, world.server.origin);
  };
  const chat = await world.open({ ...options, prepare });
  return { chat, guard: guard! };
}

/** Payloads for the one who asks at this place. */
const partOf = (place: number) => PAYLOADS.filter((_, at) => at % ASKING === place);

/** Has every payload handled, each by one of a few users at the same time. */
async function shareOut(
  handle: (chat: ChatPage, payload: string, turn: Locator) => Promise<void>,
): Promise<void> {
  const pages = await Promise.all(Array.from({ length: ASKING }, () => guarded(PLAIN)));
  await Promise.all(
    pages.map(async ({ chat, guard }, place) => {
      for (const [at, payload] of partOf(place).entries()) {
        const turn = chat.turns.nth(at);
        await handle(chat, payload, turn);
        expect(await guard.wrong(chat.page, turn), payload).toEqual([]);
      }
      expect(await guard.wrong(chat.page)).toEqual([]);
    }),
  );
}

test("payloads as answers of the agent, and as questions, do nothing", { timeout: 240_000 }, async () => {
  await shareOut(async (chat, payload, turn) => {
    await chat.ask(`!echo ${payload}`);
    await turn.and(chat.page.locator("[data-phase=done]")).waitFor();
  });
  judged.push(`${PAYLOADS.length} payloads as answers and questions`);
});

test("payloads that are streamed in pieces do nothing at any length", { timeout: 240_000 }, async () => {
  await shareOut(async (chat, payload, turn) => {
    await chat.ask("!hang");
    await turn.and(chat.page.locator("[data-phase=working]")).waitFor();
    const hand = new Hand(world.server, chat.user.id, (await turn.getAttribute("data-turn"))!);
    const text = `A word before.\n\n${payload}`;
    // Cut where the payload begins, and somewhere within it.
    const cuts = [0, 16, 16 + Math.ceil(payload.length / 2), text.length];
    for (const [at, end] of cuts.slice(1).entries()) {
      hand.writes(text.slice(cuts[at], end));
      if (at === 0) await seen(turn.locator(".answer"));
      await chat.page.evaluate(() => new Promise((drawn) => requestAnimationFrame(drawn)));
    }
    hand.finishes(text);
    await turn.and(chat.page.locator("[data-phase=done]")).waitFor();
  });
  judged.push(`${PAYLOADS.length} payloads streamed in pieces`);
});

test.for([
  { name: "with the policy as it is served", bypassCSP: false },
  { name: "without any policy: the sanitiser does it alone", bypassCSP: true },
])("a history of payloads does nothing, $name", { timeout: 120_000 }, async ({ bypassCSP }) => {
  const user = world.server.user();
  // As a database has them that was written by something else: raw, with every control character but NUL.
  const raw = PAYLOADS.map((payload) => payload.replaceAll("\0", "\uFFFD"));
  const turns = raw.map((payload) => ({ question: payload, answer: payload }));
  const sessionId = seedConversation(world.server, user, raw[0]!, turns);
  const { chat, guard } = await guarded({ user, sessionId, bypassCSP });
  await expect.poll(() => chat.turns.count()).toBeGreaterThan(0);
  for (;;) {
    expect(await guard.wrong(chat.page)).toEqual([]);
    const count = await chat.turns.count();
    if (count === PAYLOADS.length) break;
    await chat.scroller.evaluate((element) => (element.scrollTop = 0));
    await expect.poll(() => chat.turns.count()).toBeGreaterThan(count);
  }
  expect(await guard.wrong(chat.page)).toEqual([]);
  judged.push(`${PAYLOADS.length} payloads as a history${bypassCSP ? ", without a policy" : ""}`);
});

test("payloads as titles do nothing, in the list, the heading, the dialogs", async () => {
  const user = world.server.user();
  const sessions = TITLES.map((_, at) =>
    seedConversation(world.server, user, "A title", [{ question: `Question ${at}`, answer: "An answer" }]),
  );
  for (const [at, title] of TITLES.entries()) {
    const response = await world.server.api(user, `conversations/${sessions[at]}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ title }),
    });
    expect(response.status, title).toBe(200);
  }
  const { chat, guard } = await guarded({ user, sessionId: sessions[0]! });
  await expect
    .poll(async () => {
      const more = chat.button(chat.words.showMore);
      if (await more.isVisible()) await more.click();
      return (await chat.titles()).length;
    })
    .toBe(TITLES.length);
  const sorted = (texts: readonly string[]) =>
    texts.map((text) => text.replaceAll(/\s+/g, " ").trim()).sort();
  await expect.poll(async () => sorted(await chat.titles())).toEqual(sorted(TITLES));
  for (const sessionId of sessions.slice(0, 10)) {
    await chat.page.evaluate((id) => (location.hash = id), sessionId);
    const title = TITLES[sessions.indexOf(sessionId)]!.replaceAll(/\s+/g, " ");
    await expect
      .poll(async () => (await chat.page.title()).replaceAll(/\s+/g, " "))
      .toBe(`${title} – Paliadin`);
    for (const item of [chat.words.rename, chat.words.remove]) {
      await chat.choose(item);
      await seen(chat.dialog);
      await chat.page.keyboard.press("Escape");
      await gone(chat.dialog);
    }
  }
  expect(await guard.wrong(chat.page)).toEqual([]);
  judged.push(`${TITLES.length} payloads as titles`);
});

test("payloads as what the agent asks, does and reports do nothing", { timeout: 120_000 }, async () => {
  const { chat, guard } = await guarded();
  await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  const turn = chat.turn("!hang");
  const hand = new Hand(world.server, chat.user.id, (await turn.getAttribute("data-turn"))!);
  const texts = PAYLOADS.map((payload) => payload.replaceAll("\0", "\uFFFD"));
  for (const [at, payload] of texts.entries()) {
    const kind = at % 2 === 0 ? "permission" : "question";
    const options = at % 3 === 0 ? [] : [payload, texts[at - 1]!];
    hand.signals("activity", { tool: payload, label: payload, state: "started" });
    hand.signals("attention", { kind, prompt: `${at} ${payload}`, options });
  }
  await seen(turn.locator(".prompt", { hasText: `${texts.length - 1} ` }));
  expect(await guard.wrong(chat.page)).toEqual([]);
  hand.signals("failed", { message: texts.join(" ") });
  await chat.reaches("!hang", "failed");
  expect(await guard.wrong(chat.page)).toEqual([]);
  judged.push(`${texts.length} payloads as questions of the agent, options and activities`);
});

test("a title cannot lead an export astray", async () => {
  const user = world.server.user();
  const titles = [
    "../../etc/passwd",
    'a"; filename="x.exe',
    "x.html\u202Egpj",
    "<img src=x onerror=window.__xss=1>",
  ];
  const sessions = titles.map((title) =>
    seedConversation(world.server, user, title, [
      { question: "Question", answer: `An answer, and ${title}` },
    ]),
  );
  const chat = await world.open({ user });
  for (const [at, title] of titles.entries()) {
    await chat.page.evaluate((id) => (location.hash = id), sessions[at]!);
    await expect.poll(() => chat.page.title()).toBe(`${title} – Paliadin`);
    const downloading = chat.page.waitForEvent("download");
    await chat.choose(chat.words.exportMarkdown);
    const name = (await downloading).suggestedFilename();
    expect(name).toMatch(/^[\p{L}\p{N} ._-]+\.md$/u);
    expect(name).not.toMatch(/^\./);
  }
  expect(await chat.page.evaluate(() => "__xss" in window)).toBe(false);
  judged.push(`${titles.length} titles as names of files`);
});
