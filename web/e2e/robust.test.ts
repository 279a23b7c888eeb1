import { expect, test } from "vitest";
import { hasAnswered } from "./harness/agent";
import type { ChatPage } from "./harness/chat";
import { Network } from "./harness/network";
import { record } from "./harness/record";
import { eventually, gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();
/** What a browser says when requests fail, as they have to here. */
const FAILED = /Failed to load resource/;
const CLIPBOARD = { permissions: ["clipboard-read", "clipboard-write"] };

/** The answer to the first question. */
const FIRST = ".turns > li:first-child .answer";

const linesOf = (text: string) => text.match(/line \d+/g) ?? [];
const allLines = (count: number) => Array.from({ length: count }, (_, at) => `line ${at + 1}`);

/** Every text goes on from the one before: nothing was taken back, nothing came twice. */
function expectGrowing(texts: readonly string[]): void {
  for (const [at, text] of texts.entries()) expect(text.startsWith(texts[at - 1] ?? "")).toBe(true);
}

/** Leaves a mark that a reload would take away; tells whether it is still there. */
async function mark(chat: ChatPage): Promise<() => Promise<boolean>> {
  await chat.page.evaluate(() => Object.assign(window, { marked: true }));
  return () => chat.page.evaluate(() => "marked" in window);
}

/** The answer as the page holds it, byte for byte: what its button copies. */
async function heldAnswer(chat: ChatPage, question: string): Promise<string> {
  const turn = chat.turn(question);
  await turn.hover();
  await chat.page.evaluate(() => navigator.clipboard.writeText(""));
  await chat.button(chat.words.copyAnswer, turn).click();
  return eventually("the answer to be copied", async () => {
    const text = await chat.page.evaluate(() => navigator.clipboard.readText());
    return text === "" ? undefined : text;
  });
}

/** The answer is whole, on the page and in the row: all lines, each once. */
async function expectWhole(chat: ChatPage, question: string, count: number): Promise<void> {
  const turn = await chat.reaches(question, "done");
  const id = await turn.getAttribute("data-turn");
  const [row] = world.server.sql<{ response: string }>(
    `SELECT response FROM paliadin_turns WHERE turn_id = '${id}'`,
  );
  expect(linesOf(row?.response ?? "")).toEqual(allLines(count));
  await expect.poll(() => chat.lines(question)).toEqual(allLines(count));
  expect(await heldAnswer(chat, question)).toBe(row?.response);
  expect(world.server.typed().filter(({ turnId }) => turnId === id)).toHaveLength(1);
}

test("the server is killed in mid-answer and started again: the same page goes on by itself", async () => {
  const chat = await world.open(CLIPBOARD);
  chat.watch.expect(FAILED);
  const question = "!lines 60 100";
  await chat.ask(question);
  await chat.ask("!echo I waited");
  await chat.showsLine(question, 10);
  const isMarked = await mark(chat);
  await world.server.kill9();
  await seen(chat.turn(question).getByText(chat.words.reconnecting));
  expect((await chat.lines(question)).length).toBeLessThan(60);
  await world.server.start();
  await expectWhole(chat, question, 60);
  // What waited behind it is answered by itself, and once.
  await chat.reaches("!echo I waited", "done");
  await expect.poll(() => chat.answer("!echo I waited")).toBe("I waited");
  await gone(chat.page.getByText(chat.words.reconnecting));
  await gone(chat.page.getByText(chat.words.unreachable));
  expect(world.server.timesTyped("!echo I waited")).toBe(1);
  expect(world.server.timesTyped(question)).toBe(1);
  expect(await chat.turns.count()).toBe(2);
  expect(await isMarked()).toBe(true);
});

test("the agent ends its answer while no server is there", async () => {
  const chat = await world.open(CLIPBOARD);
  chat.watch.expect(FAILED);
  const question = "!lines 40 100";
  await chat.ask(question);
  await chat.showsLine(question, 5);
  const isMarked = await mark(chat);
  const id = (await chat.turn(question).getAttribute("data-turn"))!;
  await world.server.kill9();
  await eventually("the agent to be done", () => hasAnswered(world.server, id) || undefined);
  await world.server.start();
  await expectWhole(chat, question, 40);
  expect(await isMarked()).toBe(true);
});

test("the server stops and starts while nothing runs: the page and the draft stay", async () => {
  const chat = await world.open();
  chat.watch.expect(FAILED);
  await chat.askAndWait("!echo before");
  await chat.composer.fill("half a tho");
  const isMarked = await mark(chat);
  await world.server.restart("SIGTERM");
  expect(await chat.composer.inputValue()).toBe("half a tho");
  await chat.askAndWait("!echo after");
  expect(await isMarked()).toBe(true);
  await chat.composer.fill("half a thought");
  await world.server.stop();
  await chat.page.reload();
  await seen(chat.page.getByRole("heading", { name: chat.words.unreachable }));
  await world.server.start();
  await chat.button(chat.words.tryNow).click();
  await seen(chat.turn("!echo after"));
  expect(await chat.composer.inputValue()).toBe("half a thought");
});

test("a reload in mid-answer: it goes on where it was", async () => {
  const chat = await world.open(CLIPBOARD);
  const question = "!lines 60 100";
  await chat.ask(question);
  await chat.showsLine(question, 10);
  await chat.page.reload();
  await seen(chat.composer);
  const texts = await record(chat.page, FIRST);
  await expectWhole(chat, question, 60);
  expect((await texts()).length).toBeGreaterThan(3);
  expectGrowing(await texts());
});

test("a second tab that is opened in mid-answer shows the same", async () => {
  const chat = await world.open(CLIPBOARD);
  const question = "!lines 60 100";
  await chat.ask(question);
  await chat.showsLine(question, 10);
  const first = await record(chat.page, FIRST);
  const other = await chat.anotherTab();
  const second = await record(other.page, FIRST);
  await other.page.bringToFront();
  await expectWhole(other, question, 60);
  await chat.page.bringToFront();
  await expectWhole(chat, question, 60);
  for (const texts of [await first(), await second()]) expectGrowing(texts);
  expect((await second()).length).toBeGreaterThan(3);
});

test("the network is off for 5 s in mid-answer", async () => {
  const network = await Network.before(world.server);
  const chat = await world.open({ ...CLIPBOARD, origin: network.origin });
  chat.watch.expect(FAILED);
  const question = "!lines 80 100";
  await chat.ask(question);
  await chat.showsLine(question, 10);
  const texts = await record(chat.page, FIRST);
  // Chromium's own switch tells the page, and stops new requests; what is open goes on, so that is silenced here.
  network.silence();
  await chat.context.setOffline(true);
  const off = Date.now();
  await seen(chat.page.getByText(chat.words.offline));
  const there = (await chat.lines(question)).length;
  // What is sent meanwhile is kept.
  await chat.ask("!echo sent without a network");
  await chat.reaches("!echo sent without a network", "unsent");
  // The 5 s are the subject.
  await chat.page.waitForTimeout(5_000 - (Date.now() - off));
  expect((await chat.lines(question)).length).toBeLessThanOrEqual(there + 1);
  network.cut();
  network.mend();
  await chat.context.setOffline(false);
  await gone(chat.page.getByText(chat.words.offline));
  await expectWhole(chat, question, 80);
  expectGrowing(await texts());
  await chat.reaches("!echo sent without a network", "done");
  expect(world.server.timesTyped("!echo sent without a network")).toBe(1);
  await network.close();
});

test("connections are cut in mid-answer, and none comes about for a while", async () => {
  const network = await Network.before(world.server);
  const chat = await world.open({ ...CLIPBOARD, origin: network.origin });
  chat.watch.expect(FAILED);
  const question = "!lines 60 50";
  await chat.ask(question);
  await chat.showsLine(question, 10);
  const texts = await record(chat.page, FIRST);
  network.cut();
  await seen(chat.turn(question).getByText(chat.words.reconnecting));
  await chat.ask("!echo into the gap");
  await chat.reaches("!echo into the gap", "unsent");
  network.mend();
  await expectWhole(chat, question, 60);
  expectGrowing(await texts());
  await chat.reaches("!echo into the gap", "done");
  expect(world.server.timesTyped("!echo into the gap")).toBe(1);
  await network.close();
});

test("a connection that is only half there is given up, and the answer goes on", async () => {
  const network = await Network.before(world.server);
  const chat = await world.visit({ ...CLIPBOARD, origin: network.origin });
  chat.watch.expect(FAILED);
  await chat.page.clock.install();
  await chat.go();
  const question = "!lines 60 50";
  await chat.ask(question);
  await chat.showsLine(question, 10);
  const texts = await record(chat.page, FIRST);
  network.silence();
  const id = await chat.turn(question).getAttribute("data-turn");
  await eventually("the agent to be done", () => {
    const [row] = world.server.sql<{ state: string }>(
      `SELECT state FROM paliadin_turns WHERE turn_id = '${id}'`,
    );
    return row?.state === "done" || undefined;
  });
  expect((await chat.lines(question)).length).toBeLessThan(60);
  network.mend();
  // By the page's clock: longer than the server is ever silent, then until a request that was given one of the
  // browser's other dead connections is given up.
  await chat.page.clock.fastForward(50_000);
  const done = chat.page.locator(`[data-turn="${id}"][data-phase="done"]`);
  await eventually("the page to be through with its dead connections", async () => {
    await chat.page.clock.fastForward(25_000);
    // Time for an answer over a connection that lives, before the clock is moved again.
    return done.waitFor({ state: "attached", timeout: 3_000 }).then(
      () => true,
      () => undefined,
    );
  });
  await expectWhole(chat, question, 60);
  expectGrowing(await texts());
  await network.close();
});

test("everything comes a byte at a time", async () => {
  const network = await Network.before(world.server);
  const chat = await world.open({ ...CLIPBOARD, origin: network.origin });
  network.slow();
  const question = "!lines 20 20";
  await chat.ask(question);
  await expectWhole(chat, question, 20);
  const odd = "Grüße, 漢字 and 👩‍👩‍👧 in *pieces*";
  await chat.askAndWait(`!echo ${odd}`);
  await expect.poll(() => chat.answer(`!echo ${odd}`)).toBe(odd.replaceAll("*", ""));
  await chat.page.reload();
  await seen(chat.turn(question));
  await expectWhole(chat, question, 20);
  await network.close();
});

test("who is signed out in mid-use is told so, and nothing that was written is lost", async () => {
  const chat = await world.open();
  chat.watch.expect(/status of 401/);
  await chat.askAndWait("!echo signed in");
  const held = world.server.sql<Record<string, string | number>>(
    `SELECT hash, user_id, expires_at, last_seen_at, created_at, updated_at FROM web_sessions
     WHERE user_id = '${chat.user.id}'`,
  )[0]!;
  const signOut = () => world.server.sql(`DELETE FROM web_sessions WHERE hash = '${held["hash"]}'`);
  const signIn = () => {
    const values = Object.values(held).map((value) => (typeof value === "number" ? value : `'${value}'`));
    world.server.sql(
      `INSERT INTO web_sessions (${Object.keys(held).join(", ")}) VALUES (${values.join(", ")})`,
    );
  };
  signOut();
  await chat.ask("!echo written while signed out");
  await seen(chat.page.getByText(chat.words.signedOut).first());
  await chat.composer.fill("a draft, too");
  await seen(chat.turn("!echo written while signed out"));
  await seen(chat.turn("!echo signed in"));
  // The sign-in link opens in this very tab, as likely as not.
  await chat.page.reload();
  await seen(chat.page.getByRole("heading", { level: 1 }));
  signIn();
  await chat.page.reload();
  await seen(chat.composer);
  expect(await chat.composer.inputValue()).toBe("a draft, too");
  await chat.reaches("!echo written while signed out", "done");
  expect(world.server.timesTyped("!echo written while signed out")).toBe(1);
});
