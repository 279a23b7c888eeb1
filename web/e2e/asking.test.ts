import { expect, test } from "vitest";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

test("the printed link signs in, and a question is answered", async () => {
  const chat = await world.visit({ user: null });
  await chat.page.goto(world.server.signInLink());
  await seen(chat.composer);
  expect(new URL(chat.page.url()).pathname).toBe("/paliadin");
  const turn = await chat.askAndWait("How many words are these?");
  await expect.poll(() => chat.answer("How many words are these?")).toContain("words in your question: 5");
  await seen(turn.getByRole("button", { name: "Ask again" }));
});

test("an answer is shown line by line while it is written", async () => {
  const chat = await world.open();
  await chat.ask("!lines 20 100");
  const counts = new Set<number>();
  await expect
    .poll(async () => {
      const { length } = await chat.lines("!lines 20 100");
      counts.add(length);
      return length;
    })
    .toBe(20);
  expect(counts.size).toBeGreaterThan(5);
  await chat.reaches("!lines 20 100", "done");
  await gone(chat.button(chat.words.stop));
});
