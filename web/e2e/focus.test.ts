import { expect, test } from "vitest";
import type { ChatPage } from "./harness/chat";
import { Hand } from "./harness/agent";
import { focused } from "./harness/layout";
import { ANSWER, seedReader } from "./harness/tour";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

/** Whether what has the focus shows it: by an outline or a shadow, of its own or of the frame around it. */
async function showsFocus(chat: ChatPage): Promise<boolean> {
  return chat.page.evaluate(() => {
    const { activeElement } = document;
    // A field's frame may show it for the field.
    for (const element of [activeElement, activeElement?.closest(".composer")]) {
      if (!element) continue;
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
      if (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) return true;
      if (boxShadow !== "none") return true;
    }
    return false;
  });
}

test.for(["light", "dark"] as const)(
  "the focus is to be seen wherever Tab leads: %s",
  async (colorScheme) => {
    const { user, sessionId } = seedReader(world.server);
    const chat = await world.open({ user, sessionId, colorScheme, reducedMotion: "reduce" });
    await seen(chat.page.locator(".hljs-keyword").first());
    await chat.page.locator(".skip").focus();
    const visited = new Set<string>();
    // Around once: from the beginning of the page until the focus leaves it.
    for (let step = 0; step < 80; step += 1) {
      await chat.page.keyboard.press("Tab");
      const where = await focused(chat.page);
      if (where === "body") break;
      expect(await showsFocus(chat), where).toBe(true);
      visited.add(where);
    }
    expect(visited.size).toBeGreaterThan(15);
    for (const label of [chat.words.newChat, chat.words.more, chat.words.copyAnswer, chat.words.message]) {
      expect([...visited].some((where) => where.includes(label)) || label === chat.words.message, label).toBe(
        true,
      );
    }
  },
);

test("the focus is never lost", async () => {
  const { user, sessionId } = seedReader(world.server);
  const chat = await world.open({ user, sessionId, reducedMotion: "reduce" });
  const { page, words } = chat;
  await seen(page.getByRole("table"));
  const isKept = async (after: string) => expect(await focused(page), after).not.toBe("body");
  await isKept("opening");
  await chat.ask("!hang");
  await isKept("sending");
  const turn = await chat.reaches("!hang", "working");
  const hand = new Hand(world.server, user.id, (await turn.getAttribute("data-turn"))!);
  hand.signals("attention", { kind: "question", prompt: "Which year?", options: ["2025", "2026"] });
  await seen(turn.getByText("Which year?"));
  await isKept("being asked");
  await chat.button(words.stop, turn).focus();
  await page.keyboard.press("Enter");
  await chat.reaches("!hang", "cancelled");
  await isKept("stopping");
  await chat.button(words.retry, turn).focus();
  await page.keyboard.press("Enter");
  await isKept("another try");
  await chat.button(words.stop, chat.turns.last()).click();
  await chat.reaches("!hang", "cancelled");
  await chat.button(words.edit, chat.turns.last()).focus();
  await page.keyboard.press("Enter");
  await isKept("editing");
  await page.keyboard.press("Escape");
  await isKept("leaving the editor");
  await chat.button(words.more).focus();
  await page.keyboard.press("Enter");
  await isKept("a menu");
  await page.keyboard.press("Escape");
  await isKept("closing a menu");
  for (const item of [words.rename, words.remove, words.restartAgent]) {
    await chat.choose(item);
    await seen(chat.dialog);
    await isKept(item);
    await page.keyboard.press("Escape");
    await gone(chat.dialog);
    await isKept(`closing: ${item}`);
  }
  await chat.choose(words.remove);
  await chat.button(words.remove, chat.dialog).click();
  await gone(chat.dialog);
  await seen(page.getByRole("heading", { name: words.greeting }));
  await isKept("deleting");
});

test("nothing moves for who wants no movement", async () => {
  const chat = await world.open({ reducedMotion: "reduce" });
  await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  const moving = () =>
    chat.page.evaluate(
      () => document.getAnimations().filter(({ playState }) => playState === "running").length,
    );
  await expect.poll(moving).toBe(0);
  await chat.button(chat.words.stop, chat.turn("!hang")).click();
  await chat.askAndWait(`!echo ${ANSWER}`);
  expect(await chat.page.locator(".answer.typing").count()).toBe(0);
});

test("a reader at the end is kept there, however much comes at once", async () => {
  const { user, sessionId } = seedReader(world.server);
  const chat = await world.open({ user, sessionId });
  await seen(chat.page.getByRole("table"));
  await chat.ask("!hang");
  const turn = await chat.reaches("!hang", "working");
  const hand = new Hand(world.server, user.id, (await turn.getAttribute("data-turn"))!);
  const below = () =>
    chat.scroller.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
  for (let count = 1; count <= 5; count += 1) {
    hand.writes(`${ANSWER}\n\n`);
    await expect.poll(() => turn.getByRole("table").count()).toBe(count);
    await expect.poll(below).toBeLessThan(2);
  }
  await gone(chat.button(chat.words.newBelow));
  await chat.button(chat.words.stop, turn).click();
  await chat.reaches("!hang", "cancelled");
});
