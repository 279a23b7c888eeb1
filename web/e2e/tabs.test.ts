import type { Page, Request } from "playwright-core";
import { expect, test } from "vitest";
import type { ChatPage } from "./harness/chat";
import { record } from "./harness/record";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

/** The pages that hold a stream just now. */
function holders(chat: ChatPage): Set<Page> {
  const pages = new Map<Request, Page>();
  const open = new Set<Page>();
  const over = (request: Request) => {
    const page = pages.get(request);
    pages.delete(request);
    if (page && ![...pages.values()].includes(page)) open.delete(page);
  };
  chat.context.on("request", (request) => {
    if (!request.url().includes("/api/paliadin/stream/")) return;
    const page = request.frame().page();
    pages.set(request, page);
    open.add(page);
  });
  chat.context.on("requestfinished", over);
  chat.context.on("requestfailed", over);
  return open;
}

/** Every text goes on from the one before: nothing was taken back, nothing came twice. */
function expectGrowing(texts: readonly string[]): void {
  for (const [at, text] of texts.entries()) expect(text.startsWith(texts[at - 1] ?? "")).toBe(true);
}

const allLines = (count: number) => Array.from({ length: count }, (_, at) => `line ${at + 1}`);

test("a question in one tab appears in the other and streams there; one of them holds the stream", async () => {
  const chat = await world.open();
  await chat.askAndWait("!echo begin");
  const other = await chat.anotherTab();
  const holding = holders(chat);
  const texts = await record(other.page, "[data-phase=answering] .answer");
  await chat.ask("!lines 30 100");
  // Both may look at first; from then on one is enough.
  await other.showsLine("!lines 30 100", 10);
  expect([...holding]).toEqual([chat.page]);
  await other.showsLine("!lines 30 100", 20);
  expect([...holding]).toEqual([chat.page]);
  await other.reaches("!lines 30 100", "done");
  await chat.reaches("!lines 30 100", "done");
  const there = await texts();
  expect(there.length).toBeGreaterThan(5);
  expectGrowing(there);
  expect(await chat.lines("!lines 30 100")).toEqual(allLines(30));
  expect(await other.answer("!lines 30 100")).toBe(await chat.answer("!lines 30 100"));
});

test("where the tab that holds the stream is closed, the other goes on without gap or repetition", async () => {
  const chat = await world.open();
  await chat.askAndWait("!echo begin");
  const other = await chat.anotherTab();
  const holding = holders(chat);
  const texts = await record(other.page, ".turn:last-child .answer");
  await chat.ask("!lines 60 60");
  await other.showsLine("!lines 60 60", 10);
  expect([...holding]).toEqual([chat.page]);
  await chat.page.close();
  await other.showsLine("!lines 60 60", 30);
  expect([...holding]).toContain(other.page);
  await other.reaches("!lines 60 60", "done");
  expect(await other.lines("!lines 60 60")).toEqual(allLines(60));
  expectGrowing((await texts()).filter((text) => text.startsWith("line")));
});

test("rename and delete are seen in the other tab", async () => {
  const chat = await world.open();
  await chat.askAndWait("!echo shared");
  const other = await chat.anotherTab();
  await seen(other.turn("!echo shared"));
  await chat.toFront();
  await chat.choose(chat.words.rename);
  await chat.dialog.getByRole("textbox").fill("Renamed");
  await chat.button(chat.words.save, chat.dialog).click();
  await expect.poll(() => other.titles()).toEqual(["Renamed"]);
  await seen(other.page.getByRole("heading", { level: 1, name: "Renamed" }));
  await chat.choose(chat.words.remove);
  await chat.button(chat.words.remove, chat.dialog).click();
  await gone(other.entry("Renamed"));
  await seen(other.page.getByRole("heading", { name: other.words.greeting }));
});

test("language and appearance are the same in every tab", async () => {
  const chat = await world.open();
  const other = await chat.anotherTab("");
  await chat.toFront();
  await chat.button(chat.words.settings, chat.list).click();
  await chat.dialog.getByLabel(chat.words.theme).selectOption("dark");
  const theme = () => other.page.evaluate(() => document.documentElement.dataset.theme);
  await expect.poll(theme).toBe("dark");
  await chat.dialog.getByLabel(chat.words.language).selectOption("de");
  await seen(other.page.getByRole("textbox", { name: "Nachricht" }));
  expect(await other.page.evaluate(() => document.documentElement.lang)).toBe("de");
});
