import { expect, test } from "vitest";
import type { ChatPage } from "./harness/chat";
import { seedConversation } from "./harness/seed";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();
const viewport = { width: 900, height: 500 };

/** Where the reader is: pixels from the top, and from the end. */
async function place(chat: ChatPage): Promise<{ top: number; below: number }> {
  return chat.scroller.evaluate((element) => ({
    top: element.scrollTop,
    below: element.scrollHeight - element.scrollTop - element.clientHeight,
  }));
}

const lineCount = async (chat: ChatPage, question: string) => (await chat.lines(question)).length;

test("a reader at the end is kept there", async () => {
  const chat = await world.open({ viewport });
  await chat.askAndWait("!lines 300 1");
  await expect.poll(async () => (await place(chat)).below).toBeLessThan(2);
  await chat.ask("!lines 200 15");
  for (const count of [50, 100, 150, 200]) {
    await expect.poll(() => lineCount(chat, "!lines 200 15")).toBeGreaterThanOrEqual(count);
    await expect.poll(async () => (await place(chat)).below).toBeLessThan(2);
  }
  expect((await place(chat)).top).toBeGreaterThan(200);
});

test("a reader who scrolled up stays where he is, and gets to what is new by a button", async () => {
  const chat = await world.open({ viewport });
  await chat.askAndWait("!lines 300 1");
  await chat.ask("!lines 300 30");
  await expect.poll(() => lineCount(chat, "!lines 300 30")).toBeGreaterThan(20);
  await chat.scroller.hover();
  // The smallest of steps is enough: a wheel's movement begins with one, and what grows must not undo it.
  await chat.page.mouse.wheel(0, -5);
  const newBelow = chat.button(chat.words.newBelow);
  await seen(newBelow);
  const { top } = await place(chat);
  const lines = await lineCount(chat, "!lines 300 30");
  await expect.poll(() => lineCount(chat, "!lines 300 30")).toBeGreaterThan(lines + 50);
  expect((await place(chat)).top).toBe(top);
  await newBelow.click();
  await gone(newBelow);
  await chat.reaches("!lines 300 30", "done");
  await expect.poll(async () => (await place(chat)).below).toBeLessThan(2);
});

test("earlier turns are loaded above, without moving what is read", async () => {
  const user = world.server.user();
  const turns = Array.from({ length: 120 }, (_, at) => ({
    question: `Question ${at + 1}`,
    answer: `Answer ${at + 1}\n\n${"and more of it ".repeat(at % 40)}`,
  }));
  const sessionId = seedConversation(world.server, user, "A long one", turns);
  const chat = await world.open({ user, sessionId, viewport });
  await seen(chat.turn("Question 120"));
  expect(await chat.turns.count()).toBe(50);
  await expect.poll(async () => (await place(chat)).below).toBeLessThan(2);
  // A reader who scrolls up in steps sees each turn move by those steps, and by nothing else.
  await chat.scroller.hover();
  for (const count of [100, 120]) {
    for (const deadline = Date.now() + 25_000; (await chat.turns.count()) < count;) {
      expect(Date.now()).toBeLessThan(deadline);
      await chat.page.mouse.wheel(0, -1_500);
      const moved = await chat.scroller.evaluate(watchRead);
      expect(Math.abs(moved), "pixels that what is read moved").toBeLessThan(3);
    }
  }
  await expect.poll(() => chat.turns.count()).toBe(120);
  expect(await chat.turns.first().locator(".text").textContent()).toBe("Question 1");
});

/** How far the topmost turn in sight moved against the scrolling, over the next frames. */
async function watchRead(scroller: Element): Promise<number> {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  // The wheel's own movement is over when the place stays the same for a while.
  for (let still = 0, before = NaN; still < 10; await frame()) {
    still = before === scroller.scrollTop ? still + 1 : 0;
    before = scroller.scrollTop;
  }
  const top = scroller.getBoundingClientRect().top;
  const read = [...scroller.querySelectorAll("article")].find(
    (turn) => turn.getBoundingClientRect().bottom > top + 1,
  );
  const before = read?.getBoundingClientRect().top ?? 0;
  for (let count = 0; count < 20; count += 1) await frame();
  return (read?.getBoundingClientRect().top ?? 0) - before;
}
