import { expect, test } from "vitest";
import { Hand } from "./harness/agent";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

test("questions wait in line, and say how many are before them", async () => {
  const chat = await world.open();
  const first = await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  const second = await chat.ask("!ask Second?");
  await chat.ask("!echo third");
  await seen(second.getByText(chat.words.queued(1)));
  await seen(chat.turn("!echo third").getByText(chat.words.queued(2)));
  await chat.button(chat.words.stop, first).click();
  await chat.reaches("!ask Second?", "asking");
  await seen(chat.turn("!echo third").getByText(chat.words.queued(1)));
  await chat.button(chat.words.stop, second).click();
  await chat.reaches("!echo third", "done");
  expect(world.server.typed().map(({ message }) => message)).toEqual([
    "!hang",
    "!ask Second?",
    "!echo third",
  ]);
});

test("a running answer is stopped, and what was there stays", async () => {
  const chat = await world.open();
  const turn = await chat.ask("!lines 1000 50");
  await chat.showsLine("!lines 1000 50", 5);
  await chat.button(chat.words.stop, turn).click();
  await chat.reaches("!lines 1000 50", "cancelled");
  await seen(turn.getByText(chat.words.stopped, { exact: true }));
  expect(await chat.answer("!lines 1000 50")).toContain("line 5");
  // The agent is free for the next one.
  await chat.askAndWait("!echo after that");
  await chat.page.reload();
  await chat.showsLine("!lines 1000 50", 5);
});

test("what stops an answer can be pressed while the answer pushes it down", async () => {
  const chat = await world.open();
  const turn = await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  const hand = new Hand(world.server, chat.user.id, (await turn.getAttribute("data-turn"))!);
  hand.writes("line 1\n\n");
  await chat.showsLine("!hang", 1);
  // It moves the button aside when it comes.
  await seen(turn.locator(".clock"));
  await chat.button(chat.words.stop, turn).hover();
  await chat.page.mouse.down();
  hand.writes("line 2\n\nline 3\n\nline 4\n\nline 5\n\n");
  await chat.showsLine("!hang", 5);
  await chat.page.mouse.up();
  await chat.reaches("!hang", "cancelled");
});

test("who presses what stops an answer can still leave it", async () => {
  const chat = await world.open();
  const turn = await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  const cancelled: string[] = [];
  chat.page.on("request", (request) => {
    if (request.url().endsWith("/cancel")) cancelled.push(request.url());
  });
  const stop = chat.button(chat.words.stop, turn);
  await seen(turn.locator(".clock"));
  const { x, y, width, height } = (await stop.boundingBox())!;
  await chat.page.mouse.move(x + width - 3, y + height / 2);
  await chat.page.mouse.down();
  expect(await stop.evaluate((button) => button.matches(":active"))).toBe(true);
  // Just beside it, where the next button would be.
  await chat.page.mouse.move(x + width + 3, y + height / 2);
  await chat.page.mouse.up();
  // Had it counted, its request would have been before this one.
  await chat.page.reload();
  await chat.reaches("!hang", "working");
  expect(cancelled).toEqual([]);
  await stop.click();
  await chat.reaches("!hang", "cancelled");
  expect(cancelled).toHaveLength(1);
});

test("a waiting question is stopped before anyone has seen it", async () => {
  const chat = await world.open();
  const first = await chat.ask("!hang");
  const turn = await chat.ask("!echo never typed");
  await seen(turn.getByText(chat.words.queued(1)));
  await chat.button(chat.words.stop, turn).click();
  await chat.reaches("!echo never typed", "cancelled");
  await seen(turn.getByText(chat.words.stoppedEmpty));
  await chat.button(chat.words.stop, first).click();
  await chat.askAndWait("!echo typed after it");
  expect(world.server.timesTyped("!echo never typed")).toBe(0);
});

test("after the agent died the page says so in plain words, and offers another try", async () => {
  const chat = await world.open();
  const turn = await chat.ask("!die");
  await chat.reaches("!die", "failed");
  const [headline, advice] = chat.words.errors.agent_died!;
  await seen(turn.getByText(headline));
  await seen(turn.getByText(advice));
  await seen(chat.page.getByText(chat.words.exitStatus("1")));
  await chat.button(chat.words.retry, turn).click();
  await expect.poll(() => world.server.timesTyped("!die")).toBe(2);
  await expect.poll(() => chat.turns.count()).toBe(2);
  await chat.reaches("!die", "failed");
  await chat.askAndWait("!count");
  await expect.poll(() => chat.answer("!count")).toBe("1");
  await seen(chat.page.getByText(chat.words.afterExit.told).last());
});

test("a question is edited and sent again", async () => {
  const chat = await world.open();
  const turn = await chat.askAndWait("!echo frist");
  await turn.hover();
  await chat.button(chat.words.edit, turn).click();
  const field = chat.page.getByRole("textbox", { name: chat.words.editField });
  expect(await field.inputValue()).toBe("!echo frist");
  await field.fill("!echo first");
  await chat.button(chat.words.sendAgain).click();
  await chat.reaches("!echo first", "done");
  expect(await chat.turns.count()).toBe(2);
  // Escape leaves it as it was.
  await turn.hover();
  await chat.button(chat.words.edit, turn).click();
  await field.fill("nothing");
  await field.press("Escape");
  await gone(field);
  await seen(turn);
});

test("the details of a turn", async () => {
  const chat = await world.open();
  const turn = await chat.askAndWait("!meta sql,search 3,4 lookup");
  await chat.button(chat.words.details, turn).click();
  const fact = (name: string) =>
    turn.locator("dl > div", { has: chat.page.getByText(name, { exact: true }) }).locator("dd");
  expect(await fact(chat.words.detailTools).textContent()).toBe("sql, search");
  expect(await fact(chat.words.detailRows).textContent()).toBe("3, 4");
  expect(await fact(chat.words.detailTag).textContent()).toBe("lookup");
  expect(await fact(chat.words.detailAgent).textContent()).toBe("demo");
  expect(await fact(chat.words.detailState).textContent()).toBe(chat.words.states.done);
  expect(await fact(chat.words.detailDuration).textContent()).toMatch(/^\d+(\.\d)? s$/);
});

test("the agent is restarted from the menu", async () => {
  const chat = await world.open();
  await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  await chat.choose(chat.words.restartAgent);
  await seen(chat.dialog.getByText(chat.words.restartText));
  await chat.button(chat.words.restartAgent, chat.dialog).click();
  await gone(chat.dialog);
  const turn = await chat.reaches("!hang", "failed");
  await seen(turn.getByText(chat.words.errors.session_reset![0]));
  await chat.askAndWait("!count");
  await expect.poll(() => chat.answer("!count")).toBe("1");
});
