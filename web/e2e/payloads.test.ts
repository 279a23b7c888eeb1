import { expect, test } from "vitest";
import { PAYLOADS } from "../src/lib/markdown/corpus";
import { seedConversation } from "./harness/seed";
import { seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();
/** Turns that a page loads at once. */
const PAGE = 50;

test("answers run no script, and have nothing requested from elsewhere", async () => {
  expect(PAYLOADS.length).toBeGreaterThan(100);
  const user = world.server.user();
  const chat = await world.open({ user });
  for (let from = 0; from < PAYLOADS.length; from += PAGE) {
    const turns = PAYLOADS.slice(from, from + PAGE).map((answer, at) => ({
      question: `Payload ${from + at}`,
      answer,
    }));
    const title = `Payloads from ${from}`;
    const sessionId = seedConversation(world.server, user, title, turns);
    await chat.go(sessionId);
    await chat.page.reload();
    await seen(chat.page.getByRole("heading", { level: 1, name: title }));
    await expect.poll(() => chat.turns.count()).toBe(turns.length);
    // What waits for a pointer or a click gets both, wherever no page is left by it.
    await chat.page.evaluate(() => {
      for (const element of document.querySelectorAll<HTMLElement>(".answer *")) {
        for (const kind of ["pointerover", "mouseover", "focus", "toggle"]) {
          element.dispatchEvent(new Event(kind, { bubbles: true }));
        }
        if (!element.closest("a, button")) element.click();
      }
    });
    expect(await chat.page.evaluate(() => "__xss" in window)).toBe(false);
    expect(
      await chat.page.locator(".answer script, .answer iframe, .answer img, .answer style").count(),
    ).toBe(0);
  }
  // Requests to other places, and what the content security policy had to stop, fail every test (harness/watch.ts).
});
