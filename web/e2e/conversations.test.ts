import { expect, test } from "vitest";
import type { ChatPage } from "./harness/chat";
import { seedConversation } from "./harness/seed";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";
import type { Conversation } from "../src/lib/wire";

const world = useWorld();
const DAY = 86_400_000;

/** The list as the server has it. */
async function listed(chat: ChatPage): Promise<Conversation[]> {
  const answer = await world.server.api(chat.user, "conversations");
  return (await answer.json()) as Conversation[];
}

test("a new conversation gets its address and its title with the first question", async () => {
  const chat = await world.open();
  await seen(chat.page.getByText(chat.words.noConversations));
  expect(chat.sessionId).toBe("");
  await chat.askAndWait("!echo first");
  const first = chat.sessionId;
  expect(first).toMatch(/^[0-9a-f-]{36}$/);
  await seen(chat.entry("!echo first"));
  await chat.button(chat.words.newChat, chat.list).click();
  await seen(chat.page.getByRole("heading", { name: chat.words.greeting }));
  await chat.askAndWait("!echo second");
  expect(chat.sessionId).not.toBe(first);
  await expect.poll(() => chat.titles()).toEqual(["!echo second", "!echo first"]);
  // A question moves its conversation to the top.
  await chat.entry("!echo first").getByRole("link").click();
  await chat.askAndWait("!echo third");
  await expect.poll(() => chat.titles()).toEqual(["!echo first", "!echo second"]);
});

test("the address opens a conversation; back and forward go through them", async () => {
  const user = world.server.user();
  const ids = ["one", "two"].map((name) =>
    seedConversation(world.server, user, `Talk ${name}`, [
      { question: `Ask ${name}`, answer: `Said ${name}` },
    ]),
  );
  const chat = await world.open({ user, sessionId: ids[0]! });
  await seen(chat.turn("Ask one"));
  await chat.entry("Talk two").getByRole("link").click();
  await seen(chat.turn("Ask two"));
  await seen(chat.page.getByRole("heading", { name: "Talk two" }));
  expect(await chat.page.title()).toContain("Talk two");
  await chat.page.goBack();
  await seen(chat.turn("Ask one"));
  await gone(chat.turn("Ask two"));
  await chat.page.goForward();
  await seen(chat.turn("Ask two"));
  expect(await chat.list.locator('[aria-current="page"]').textContent()).toContain("Talk two");
  await chat.page.reload();
  await seen(chat.turn("Ask two"));
});

test("a conversation is renamed from the list", async () => {
  const chat = await world.open();
  await chat.askAndWait("!echo to be named");
  await chat.entry("!echo to be named").hover();
  await chat.button(chat.words.optionsOf("!echo to be named")).click();
  await chat.page.getByRole("menuitem", { name: chat.words.rename }).click();
  const field = chat.dialog.getByRole("textbox", { name: chat.words.titleField });
  await field.fill("  Named <b>well</b> & good  ");
  await field.press("Enter");
  await gone(chat.dialog);
  await expect.poll(() => chat.titles()).toEqual(["Named <b>well</b> & good"]);
  await seen(chat.page.getByRole("heading", { level: 1, name: "Named <b>well</b> & good" }));
  expect((await listed(chat)).map(({ title }) => title)).toEqual(["Named <b>well</b> & good"]);
});

test("a deleted conversation is gone, here and on the server", async () => {
  const chat = await world.open();
  await chat.askAndWait("!echo to be kept");
  await chat.button(chat.words.newChat, chat.list).click();
  await chat.askAndWait("!echo to be deleted");
  const deleted = chat.sessionId;
  await chat.choose(chat.words.remove);
  await seen(chat.dialog.getByText(chat.words.removeText("!echo to be deleted")));
  await chat.button(chat.words.cancel, chat.dialog).click();
  await gone(chat.dialog);
  expect(await listed(chat)).toHaveLength(2);
  await chat.choose(chat.words.remove);
  await chat.button(chat.words.remove, chat.dialog).click();
  await gone(chat.dialog);
  await expect.poll(() => chat.titles()).toEqual(["!echo to be kept"]);
  await seen(chat.page.getByRole("heading", { name: chat.words.greeting }));
  expect((await listed(chat)).map(({ title }) => title)).toEqual(["!echo to be kept"]);
  const history = await world.server.api(chat.user, `history?session=${deleted}`);
  expect(await history.json()).toEqual([]);
});

test("the search finds titles, questions and answers", async () => {
  const user = world.server.user();
  const seed = (title: string, question: string, answer: string) =>
    seedConversation(world.server, user, title, [{ question, answer }]);
  seed("Fristen im Mai", "Which are near?", "Three of them.");
  seed("Something else", "Where is the zebra?", "Here.");
  seed("A third one", "Anything?", "A pangolin, perhaps.");
  const chat = await world.open({ user });
  const field = chat.list.getByRole("searchbox", { name: chat.words.searchConversations });
  await expect.poll(() => chat.titles()).toHaveLength(3);
  await field.fill("fristen");
  await expect.poll(() => chat.titles()).toEqual(["Fristen im Mai"]);
  await field.fill("ZEBRA");
  await expect.poll(() => chat.titles()).toEqual(["Something else"]);
  await field.fill("pangolin");
  await expect.poll(() => chat.titles()).toEqual(["A third one"]);
  await field.fill("100% nothing_like this");
  await seen(chat.page.getByText(chat.words.noMatch("100% nothing_like this")));
  await field.fill("");
  await expect.poll(() => chat.titles()).toHaveLength(3);
});

test("conversations are grouped by age, the newest first, and loaded as one asks for more", async () => {
  const user = world.server.user();
  const noon = new Date().setHours(0, 0, 0, 0) - DAY / 2;
  const seed = (title: string, at: number) =>
    seedConversation(world.server, user, title, [{ question: title, answer: "yes" }], at);
  seed("Of yesterday", noon);
  seed("Of this week", noon - 3 * DAY);
  for (let age = 20; age < 71; age += 1) seed(`Old ${age}`, noon - age * DAY);
  seed("Of today", Date.now() - 1_000);
  const chat = await world.open({ user });
  await expect.poll(() => chat.titles()).toHaveLength(50);
  const { today, yesterday, lastWeek, older } = chat.words;
  expect(await chat.list.getByRole("heading").allTextContents()).toEqual([today, yesterday, lastWeek, older]);
  expect((await chat.titles()).slice(0, 4)).toEqual(["Of today", "Of yesterday", "Of this week", "Old 20"]);
  await chat.button(chat.words.showMore, chat.list).click();
  await expect.poll(() => chat.titles()).toHaveLength(54);
  expect((await chat.titles()).at(-1)).toBe("Old 70");
  await gone(chat.button(chat.words.showMore, chat.list));
});
