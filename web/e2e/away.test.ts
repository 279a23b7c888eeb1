import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();
const FAILED = /Failed to load resource/;

test("who is not signed in is told how to", async () => {
  const chat = await world.visit({ user: null });
  chat.watch.expect(/status of 401/);
  const response = await chat.page.goto(`${world.server.origin}/paliadin`);
  expect(response?.status()).toBe(401);
  await seen(chat.page.getByRole("heading", { level: 1 }));
  expect(await chat.page.locator("body").innerText()).toMatch(/sign.in/i);
});

test("who is signed out while the page is open is told so, and goes on after signing in", async () => {
  const chat = await world.open();
  chat.watch.expect(/status of 401/);
  await chat.askAndWait("!echo signed in");
  const [session] = world.server.sql<{ hash: string }>(
    `SELECT hash FROM web_sessions WHERE user_id = '${chat.user.id}'`,
  );
  world.server.sql(`UPDATE web_sessions SET expires_at = 1 WHERE hash = '${session!.hash}'`);
  const turn = await chat.ask("!echo signed out");
  await seen(turn.getByText(chat.words.unsentSignedOut));
  world.server.sql(
    `UPDATE web_sessions SET expires_at = ${Date.now() + 60_000} WHERE hash = '${session!.hash}'`,
  );
  // Who opened the link in another tab comes back to this one.
  await chat.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await chat.reaches("!echo signed out", "done");
  expect(world.server.timesTyped("!echo signed out")).toBe(1);
});

test("who signs out is signed out, in every tab, and the browser shows nothing any more", async () => {
  const chat = await world.open();
  chat.watch.expect(/status of 401/);
  await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  await chat.button(chat.words.settings, chat.list).click();
  await chat.button(chat.words.signOut, chat.dialog).click();
  await seen(chat.page.getByRole("heading", { name: "Open your sign-in link" }));
  const left = world.server.sql(`SELECT hash FROM web_sessions WHERE user_id = '${chat.user.id}'`);
  expect(left).toEqual([]);
  const names = (await chat.page.context().cookies()).map(({ name }) => name);
  expect(names).not.toContain("paliadin_session");
});

test("a conversation that does not exist, or is another's, is said to be missing", async () => {
  const owner = await world.open();
  await owner.askAndWait("!echo mine");
  for (const sessionId of [randomUUID(), owner.sessionId]) {
    const chat = await world.open({ sessionId });
    await seen(chat.page.getByRole("heading", { name: chat.words.notFound }));
    await chat.button(chat.words.newChat, chat.page.getByRole("main")).last().click();
    await seen(chat.page.getByRole("heading", { name: chat.words.greeting }));
  }
});

test("a server that is away when the page opens is waited for", async () => {
  const chat = await world.visit();
  chat.watch.expect(FAILED);
  let away = true;
  await chat.page.route("**/api/paliadin/**", (route) => (away ? route.abort() : route.continue()));
  await chat.page.goto(`${world.server.origin}/paliadin`);
  await seen(chat.page.getByRole("heading", { name: chat.words.unreachable }));
  away = false;
  await chat.button(chat.words.tryNow).click();
  await seen(chat.page.getByRole("heading", { name: chat.words.greeting }));
});

test("a page that is open while the server restarts goes on by itself", async () => {
  const chat = await world.open();
  chat.watch.expect(FAILED);
  await chat.askAndWait("!echo before");
  await world.server.stop();
  await chat.page.reload();
  await seen(chat.page.getByRole("heading", { name: chat.words.unreachable }));
  await world.server.start();
  await seen(chat.turn("!echo before"));
  await chat.askAndWait("!echo after");
});

test.each(["SIGTERM", "SIGKILL"] as const)(
  "a running answer goes on over the server’s %s",
  async (signal) => {
    const chat = await world.open();
    chat.watch.expect(FAILED);
    await chat.askAndWait("!echo before");
    const question = "!lines 300 20";
    await chat.ask(question);
    await chat.showsLine(question, 10);
    await chat.ask("!echo in line");
    await world.server.restart(signal);
    await chat.reaches(question, "done");
    const lines = Array.from({ length: 300 }, (_, at) => `line ${at + 1}`);
    await expect.poll(() => chat.lines(question)).toEqual(lines);
    await chat.reaches("!echo in line", "done");
    // That nothing was typed twice is seen to at the end.
  },
);
