import { expect, test } from "vitest";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

test("what the agent asks is answered where it is asked", async () => {
  const chat = await world.open();
  const turn = await chat.ask("!ask Which one?");
  await chat.reaches("!ask Which one?", "asking");
  const prompt = turn.getByRole("region", { name: chat.words.attentionQuestion });
  await seen(prompt.getByText("Which one?"));
  const field = prompt.getByRole("textbox", { name: chat.words.yourAnswer });
  await field.fill("the second");
  await field.press("Enter");
  await chat.reaches("!ask Which one?", "done");
  await expect.poll(() => chat.answer("!ask Which one?")).toBe("you said: the second");
  expect(world.server.timesTyped("the second")).toBe(1);
  await gone(prompt);
});

test("an answer in one tab closes the question in the other", async () => {
  const chat = await world.open();
  await chat.ask("!ask Here or there?");
  await chat.reaches("!ask Here or there?", "asking");
  const other = await chat.anotherTab();
  const there = (await other.reaches("!ask Here or there?", "asking")).getByRole("region");
  const field = there.getByRole("textbox", { name: chat.words.yourAnswer });
  await seen(field);
  const here = chat.turn("!ask Here or there?");
  await here.getByRole("textbox", { name: chat.words.yourAnswer }).fill("here");
  await chat.button(chat.words.answer, here).click();
  await gone(field);
  await other.reaches("!ask Here or there?", "done");
  await expect.poll(() => other.answer("!ask Here or there?")).toBe("you said: here");
});

test("a question that waits for the reader can be stopped", async () => {
  const chat = await world.open();
  const turn = await chat.ask("!ask Really?");
  await chat.reaches("!ask Really?", "asking");
  await chat.button(chat.words.stop, turn).click();
  await chat.reaches("!ask Really?", "cancelled");
  await chat.askAndWait("!echo free again");
});
