import type { Locator } from "playwright-core";
import { expect, test } from "vitest";
import type { ChatPage } from "./harness/chat";
import { seedConversation } from "./harness/seed";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

/** Whether the focus is there. */
const hasFocus = (locator: Locator) => locator.evaluate((element) => element === document.activeElement);

/** Presses Tab, or Shift+Tab, until the focus is there. */
async function tabTo(chat: ChatPage, locator: Locator, key = "Tab"): Promise<void> {
  await seen(locator);
  for (let presses = 0; presses < 60; presses += 1) {
    if (await hasFocus(locator)) return;
    await chat.page.keyboard.press(key);
  }
  throw new Error(`${key} does not lead to ${String(locator)}`);
}

test("asking, stopping and copying need no mouse", async () => {
  const chat = await world.open({ permissions: ["clipboard-read", "clipboard-write"] });
  const { keyboard } = chat.page;
  // One can type at once; who comes from the beginning of the page gets there, too.
  expect(await hasFocus(chat.composer)).toBe(true);
  await tabTo(chat, chat.page.getByRole("link", { name: chat.words.skip }), "Shift+Tab");
  await keyboard.press("Enter");
  expect(await hasFocus(chat.composer)).toBe(true);
  await keyboard.type("!echo one");
  await keyboard.press("Shift+Enter");
  await keyboard.type("two");
  await keyboard.press("Enter");
  await chat.reaches("!echo one\ntwo", "done");
  await expect.poll(() => chat.answer("!echo one\ntwo")).toMatch(/one\s*two/);
  await keyboard.press("Alt+c");
  await expect.poll(() => chat.page.evaluate(() => navigator.clipboard.readText())).toBe("one\ntwo");
  await keyboard.type("!hang");
  await keyboard.press("Enter");
  await chat.reaches("!hang", "working");
  await keyboard.press("Alt+.");
  await chat.reaches("!hang", "cancelled");
});

test("an input method's Enter does not send", async () => {
  const chat = await world.open();
  await chat.composer.focus();
  const session = await chat.context.newCDPSession(chat.page);
  await session.send("Input.imeSetComposition", { text: "にほん", selectionStart: 3, selectionEnd: 3 });
  // While one composes the browser gives every key the code 229.
  await session.send("Input.dispatchKeyEvent", {
    type: "rawKeyDown",
    key: "Enter",
    code: "Enter",
    windowsVirtualKeyCode: 229,
  });
  await session.send("Input.insertText", { text: "日本" });
  expect(await chat.composer.inputValue()).toBe("日本");
  expect(await chat.turns.count()).toBe(0);
  await chat.composer.press("Enter");
  await chat.reaches("日本", "done");
});

test("menus are walked by arrow keys, and dialogs give the focus back", async () => {
  const chat = await world.open();
  const { keyboard } = chat.page;
  await chat.askAndWait("!echo menus");
  const more = chat.button(chat.words.more);
  await tabTo(chat, more, "Shift+Tab");
  await keyboard.press("Enter");
  const item = (name: string) => chat.page.getByRole("menuitem", { name, exact: true });
  await expect.poll(() => hasFocus(item(chat.words.rename))).toBe(true);
  await keyboard.press("ArrowDown");
  expect(await hasFocus(item(chat.words.exportMarkdown))).toBe(true);
  await keyboard.press("End");
  expect(await hasFocus(item(chat.words.restartAgent))).toBe(true);
  await keyboard.press("ArrowDown");
  expect(await hasFocus(item(chat.words.rename))).toBe(true);
  await keyboard.press("Escape");
  await gone(item(chat.words.rename));
  expect(await hasFocus(more)).toBe(true);
  await keyboard.press("Enter");
  await keyboard.press("Enter");
  await expect.poll(() => hasFocus(chat.dialog.getByRole("textbox"))).toBe(true);
  await keyboard.type("By keys alone");
  await keyboard.press("Enter");
  await gone(chat.dialog);
  await expect.poll(() => hasFocus(more)).toBe(true);
  await expect.poll(() => chat.titles()).toEqual(["By keys alone"]);
  await keyboard.press("Enter");
  await keyboard.press("ArrowUp");
  await keyboard.press("Enter");
  await seen(chat.dialog);
  // The focus stays inside.
  for (let presses = 0; presses < 6; presses += 1) {
    await keyboard.press("Tab");
    const inside = await chat.page.evaluate(() => document.activeElement?.closest("dialog, body")?.tagName);
    const outside = await chat.page.evaluate(() => document.activeElement?.closest("main, nav") !== null);
    expect(inside === "DIALOG" || !outside).toBe(true);
  }
  await keyboard.press("Escape");
  await gone(chat.dialog);
  await expect.poll(() => hasFocus(more)).toBe(true);
});

test("the list of conversations is used by keys", async () => {
  const user = world.server.user();
  for (const name of ["alpha", "beta"]) {
    seedConversation(world.server, user, name, [{ question: `Ask ${name}`, answer: "yes" }]);
  }
  const chat = await world.open({ user });
  const { keyboard } = chat.page;
  await keyboard.press("Control+k");
  expect(await hasFocus(chat.list.getByRole("searchbox"))).toBe(true);
  await keyboard.type("alph");
  await expect.poll(() => chat.titles()).toEqual(["alpha"]);
  await tabTo(chat, chat.entry("alpha").getByRole("link"));
  await keyboard.press("Enter");
  await seen(chat.turn("Ask alpha"));
  const options = chat.button(chat.words.optionsOf("alpha"));
  await tabTo(chat, options);
  await keyboard.press("Space");
  await keyboard.press("End");
  await keyboard.press("Enter");
  await seen(chat.dialog);
  await tabTo(chat, chat.button(chat.words.remove, chat.dialog));
  await keyboard.press("Enter");
  await gone(chat.dialog);
  await keyboard.press("Control+k");
  await keyboard.press("Delete");
  await expect.poll(() => chat.titles()).toEqual(["beta"]);
});

test("every shortcut of the help sheet does what it says", async () => {
  const chat = await world.open();
  const { keyboard } = chat.page;
  const { keys } = chat.words;
  await keyboard.press("Control+/");
  await seen(chat.dialog);
  const rows = await chat.dialog.locator("dl > div").allTextContents();
  expect(rows.map((row) => row.replaceAll(/\s/g, ""))).toEqual(
    [
      [keys.new, "AltN"],
      [keys.search, "CtrlK"],
      [keys.focus, "AltI"],
      [keys.stop, "Alt."],
      [keys.edit, "AltE"],
      [keys.copy, "AltC"],
      [keys.sidebar, "AltB"],
      [keys.help, "Ctrl/"],
      [keys.send, "Enter"],
      [keys.line, "ShiftEnter"],
      [keys.escape, "Esc"],
    ].map((row) => row.join("").replaceAll(/\s/g, "")),
  );
  await keyboard.press("Escape");
  await gone(chat.dialog);
  await chat.composer.focus();
  await chat.askAndWait("!echo short cut");
  await keyboard.press("Alt+e");
  const field = chat.page.getByRole("textbox", { name: chat.words.editField });
  await expect.poll(() => hasFocus(field)).toBe(true);
  await keyboard.press("Escape");
  await gone(field);
  await keyboard.press("Alt+b");
  await gone(chat.list);
  await keyboard.press("Alt+b");
  await seen(chat.list);
  await keyboard.press("Alt+n");
  await seen(chat.page.getByRole("heading", { name: chat.words.greeting }));
  await expect.poll(() => hasFocus(chat.composer)).toBe(true);
  await keyboard.press("Control+k");
  await keyboard.press("Alt+i");
  expect(await hasFocus(chat.composer)).toBe(true);
});

test("on a phone's width the list is a drawer that Escape closes", async () => {
  const chat = await world.open({ viewport: { width: 320, height: 640 } });
  await gone(chat.list);
  await chat.button(chat.words.openSidebar).press("Enter");
  await seen(chat.list);
  // One Escape closes one thing.
  await chat.button(chat.words.settings, chat.list).press("Enter");
  await seen(chat.dialog);
  await chat.page.keyboard.press("Escape");
  await gone(chat.dialog);
  await seen(chat.list);
  await chat.page.keyboard.press("Escape");
  await gone(chat.list);
  await chat.askAndWait("!echo narrow");
  expect(await chat.page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
});
