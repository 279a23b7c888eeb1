import { expect, test } from "vitest";
import { Hand } from "./harness/agent";
import type { ChatPage } from "./harness/chat";
import { sideways, tooSmall } from "./harness/layout";
import { gone, seen } from "./harness/wait";
import { type Opening, useWorld } from "./harness/world";

const world = useWorld();
const WIDE = [
  `# A heading with a${"very".repeat(30)}longword in it`,
  `| ${Array.from({ length: 9 }, (_, at) => `column ${at}`).join(" | ")} |`,
  `|${"---|".repeat(9)}`,
  `| ${"a cell with some text | ".repeat(9)}`,
  "",
  `\`\`\`js\nconst long = "${"no end in sight ".repeat(20)}";\n\`\`\``,
  "",
  `https://example.org/${"path/".repeat(40)} and \`${"inline".repeat(20)}\``,
  "",
  `- ${"deep".repeat(30)}\n  - ${"deeper".repeat(30)}\n    - ${"deepest".repeat(30)}`,
  "",
  `> ${"quoted".repeat(30)}`,
  "",
  `[A chip with quite a lot of text on it, more than fits a line of a phone](chip:ask/yes) [Short](chip:ask)`,
].join("\n");

interface Look {
  name: string;
  options: Opening;
  /** The list lies over the page. */
  isDrawer: boolean;
}

const phone = (width: number, height: number): Opening => ({
  viewport: { width, height },
  hasTouch: true,
  isMobile: true,
  deviceScaleFactor: 1,
});
const LOOKS: Look[] = [
  { name: "a phone of 360 px", options: phone(360, 740), isDrawer: true },
  { name: "a phone of 320 px, in German", options: { ...phone(320, 568), locale: "de-DE" }, isDrawer: true },
  { name: "zoomed to 200 %", options: { viewport: { width: 640, height: 400 } }, isDrawer: true },
  { name: "zoomed to 400 %", options: { viewport: { width: 320, height: 256 } }, isDrawer: true },
];

/** Presses it as the device does. */
async function press(chat: ChatPage, label: string, within?: Parameters<ChatPage["button"]>[1]) {
  const button = chat.button(label, within ?? chat.page);
  if (await chat.page.evaluate(() => matchMedia("(pointer: coarse)").matches)) await button.tap();
  else await button.click();
}

/** Sends by the button: on a phone Enter begins a line. */
async function send(chat: ChatPage, question: string): Promise<void> {
  await chat.composer.fill(question);
  await press(chat, chat.words.send);
}

test.for(LOOKS)("everything fits: $name", async ({ options, isDrawer }) => {
  const chat = await world.open({ ...options, reducedMotion: "reduce" });
  const { words, page } = chat;
  const fits = async (state: string) => {
    await page.evaluate(() => document.fonts.ready);
    expect(await sideways(page), state).toEqual([]);
    expect(await tooSmall(page), state).toEqual([]);
  };
  await seen(page.getByRole("heading", { name: words.greeting }));
  await fits("a new conversation");
  await send(chat, `!echo ${WIDE}`);
  const first = chat.turns.first();
  await first.and(page.locator("[data-phase=done]")).waitFor();
  await fits("every construct, wide");
  await send(chat, "!die");
  await chat.reaches("!die", "failed");
  await fits("a failure");
  await send(chat, "!hang");
  const asking = chat.turns.nth(2);
  await asking.and(page.locator("[data-phase=working]")).waitFor();
  const hand = new Hand(world.server, chat.user.id, (await asking.getAttribute("data-turn"))!);
  hand.writes(WIDE);
  await seen(asking.getByRole("table"));
  await fits("while it is written");
  hand.signals("attention", {
    kind: "permission",
    prompt: `May I run ${"something-long".repeat(12)}?`,
    options: ["allow", "deny", `Only ${"this".repeat(20)}`],
  });
  await seen(asking.locator(".attention"));
  await send(chat, "!echo waits");
  await chat.reaches("!echo waits", "queued");
  await fits("a question of the agent, and one that waits");
  await press(chat, words.stop, asking);
  await chat.reaches("!echo waits", "done");
  await press(chat, words.details, chat.turn("!echo waits"));
  await fits("details");
  await press(chat, words.edit, chat.turn("!echo waits"));
  await fits("editing");
  await press(chat, words.cancel, chat.turns.last());
  await press(chat, words.more);
  await fits("a menu");
  for (const item of [words.rename, words.remove, words.restartAgent]) {
    if (!(await page.getByRole("menu").isVisible())) await press(chat, words.more);
    await page.getByRole("menuitem", { name: item, exact: true }).click();
    await seen(chat.dialog);
    await fits(item);
    await page.keyboard.press("Escape");
    await gone(chat.dialog);
  }
  if (isDrawer) await press(chat, words.openSidebar);
  await seen(chat.list);
  await fits("the list");
  for (const name of [words.settings, words.shortcuts]) {
    await press(chat, name, chat.list);
    await seen(chat.dialog);
    await fits(name);
    // The button that closes it can be reached, however low the window is.
    await press(chat, words.close, chat.dialog);
    await gone(chat.dialog);
  }
  await chat.list.getByRole("searchbox").fill("nothing-like-this");
  await seen(chat.list.getByText(words.noMatch("nothing-like-this")));
  await fits("a search without results");
  await press(chat, words.closeSidebar, chat.list);
  await gone(chat.list);
  // There is room to read and to write.
  await chat.composer.fill("a\nmessage\nof\nmany\nlines\n".repeat(5));
  await fits("a long message");
  const [scroller, composer] = await Promise.all([chat.scroller.boundingBox(), chat.composer.boundingBox()]);
  expect(scroller!.height).toBeGreaterThan(60);
  expect(composer!.y + composer!.height).toBeLessThanOrEqual(options.viewport!.height);
});
