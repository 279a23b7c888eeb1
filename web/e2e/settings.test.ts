import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { de } from "../src/lib/i18n/de";
import { en } from "../src/lib/i18n/en";
import type { ChatPage } from "./harness/chat";
import { seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

const background = (page: Page) =>
  page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

/** From 0 (black) to 255. */
function brightness(colour: string): number {
  const parts = (colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
  return parts.reduce((sum, part) => sum + part, 0) / parts.length;
}

async function choose(chat: ChatPage, label: string, value: string): Promise<void> {
  await chat.button(chat.words.settings, chat.list).click();
  await chat.dialog.getByLabel(label).selectOption(value);
  await chat.page.keyboard.press("Escape");
}

/** Takes down when the root's language and appearance were set, and when the page was first painted. */
function noteFirstPaint(): void {
  const noted = { paint: Infinity, lang: Infinity, theme: Infinity };
  Object.assign(window, { noted });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) noted.paint = Math.min(noted.paint, entry.startTime);
  }).observe({ type: "paint", buffered: true });
  new MutationObserver(() => {
    const { lang, dataset } = document.documentElement;
    if (lang === "de") noted.lang = Math.min(noted.lang, performance.now());
    if (dataset.theme === "dark") noted.theme = Math.min(noted.theme, performance.now());
  }).observe(document, { subtree: true, childList: true, attributes: true });
}

test("the browser's language counts, and German is German throughout", async () => {
  const chat = await world.open({ locale: "de-DE" });
  expect(await chat.page.evaluate(() => document.documentElement.lang)).toBe("de");
  await seen(chat.page.getByRole("heading", { name: de.greeting }));
  expect(await english(chat.page)).toEqual([]);
  const turn = await chat.askAndWait("!meta sql 3 lookup");
  await chat.button(de.details, turn).click();
  await chat.ask("!die");
  await chat.reaches("!die", "failed");
  await seen(chat.page.getByText(de.exitStatus("1")));
  await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  await chat.button(de.more).click();
  expect(await english(chat.page)).toEqual([]);
  await chat.page.keyboard.press("Escape");
  for (const open of [de.settings, de.shortcuts]) {
    await chat.button(open, chat.list).click();
    await seen(chat.dialog);
    expect(await english(chat.page)).toEqual([]);
    await chat.page.keyboard.press("Escape");
  }
  await chat.button(de.stop, chat.turn("!hang")).click();
  await chat.reaches("!hang", "cancelled");
});

test("another language counts as English", async () => {
  const chat = await world.open({ locale: "fr-FR" });
  await seen(chat.page.getByRole("heading", { name: en.greeting }));
});

test("a language that was chosen is kept, and is there before the first paint", async () => {
  const chat = await world.open();
  await choose(chat, chat.words.language, "de");
  await seen(chat.page.getByRole("heading", { name: de.greeting }));
  await chat.page.addInitScript(noteFirstPaint);
  await chat.page.reload();
  await seen(chat.page.getByRole("heading", { name: de.greeting }));
  const { paint, lang } = await noted(chat.page);
  expect(lang).toBeLessThanOrEqual(paint);
});

test("dark where the system is dark, light where it is light", async () => {
  const chat = await world.open({ colorScheme: "dark" });
  expect(brightness(await background(chat.page))).toBeLessThan(64);
  await chat.page.emulateMedia({ colorScheme: "light" });
  expect(brightness(await background(chat.page))).toBeGreaterThan(220);
});

test("an appearance that was chosen goes before the system's, and does not flash after a reload", async () => {
  const chat = await world.open({ colorScheme: "light" });
  await choose(chat, chat.words.theme, "dark");
  expect(brightness(await background(chat.page))).toBeLessThan(64);
  await chat.page.addInitScript(noteFirstPaint);
  await chat.page.reload();
  await seen(chat.composer);
  expect(brightness(await background(chat.page))).toBeLessThan(64);
  const { paint, theme } = await noted(chat.page);
  expect(theme).toBeLessThanOrEqual(paint);
  await choose(chat, chat.words.theme, "auto");
  expect(brightness(await background(chat.page))).toBeGreaterThan(220);
});

test("the page says that the demo agent answers", async () => {
  const chat = await world.open();
  await seen(chat.page.getByText(chat.words.demo));
  await chat.askAndWait("!echo who is it");
  await seen(chat.page.getByText(chat.words.demo));
});

async function noted(page: Page): Promise<{ paint: number; lang: number; theme: number }> {
  const read = () =>
    page.evaluate(
      () => (window as unknown as { noted: { paint: number; lang: number; theme: number } }).noted,
    );
  await expect.poll(async () => (await read()).paint).toBeLessThan(Infinity);
  return read();
}

/** Texts and names on the page that are in the English dictionary and not in the German one. */
async function english(page: Page): Promise<string[]> {
  const texts = await page.evaluate(() => {
    const found: string[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node instanceof Element) {
        for (const name of ["aria-label", "title", "placeholder", "alt"]) {
          found.push(node.getAttribute(name) ?? "");
        }
      } else found.push(node.textContent ?? "");
    }
    return found.map((text) => text.replaceAll(/\s+/g, " ").trim());
  });
  const [english, german] = [values(en), values(de)];
  return [...new Set(texts)].filter((text) => text !== "" && english.has(text) && !german.has(text));
}

/** Every text of a dictionary; of those with parameters, for some. */
function values(dictionary: object): Set<string> {
  const texts = new Set<string>();
  const add = (value: unknown) => {
    if (typeof value === "string") texts.add(value);
    else if (typeof value === "function") {
      for (const parameter of [0, 1, 2, "", "sql", "!die", "!meta sql 3 lookup"]) {
        try {
          texts.add(String((value as (parameter: unknown) => unknown)(parameter)));
        } catch {
          // Not a parameter of this one.
        }
      }
    } else if (value !== null && typeof value === "object") Object.values(value).forEach(add);
  };
  add(dictionary);
  return texts;
}
