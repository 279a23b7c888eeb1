import { expect, test } from "vitest";
import { Hand } from "./harness/agent";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld({ PALIADIN_TURN__SILENCE_TIMEOUT: "2s" });

test("an agent that was given up as silent answers after all: it fills in by itself, in every tab", async () => {
  const chat = await world.open();
  const question = "!hang";
  const turn = await chat.ask(question);
  await chat.reaches(question, "working");
  const other = await chat.anotherTab();
  const both = [chat, other];
  for (const { page } of both) await page.evaluate(() => Object.assign(window, { marked: true }));
  for (const tab of both) {
    await tab.reaches(question, "failed");
    await seen(tab.turn(question).getByText(tab.words.errors["upstream_silence"]![0]));
    await seen(tab.turn(question).getByText(tab.words.lookingForLate));
  }
  const id = (await turn.getAttribute("data-turn"))!;
  new Hand(chat.server, chat.user.id, id).finishes("At last.");
  for (const tab of both) {
    await tab.reaches(question, "done");
    await expect.poll(() => tab.answer(question)).toBe("At last.");
    await seen(tab.turn(question).getByText(tab.words.late));
    await gone(tab.turn(question).getByText(tab.words.lookingForLate));
    expect(await tab.page.evaluate(() => "marked" in window)).toBe(true);
  }
  const rows = world.server.sql(
    `SELECT state, late, response, error_code FROM paliadin_turns WHERE turn_id = '${id}'`,
  );
  expect(rows).toEqual([{ state: "done", late: 1, response: "At last.", error_code: null }]);
  expect(world.server.timesTyped(question)).toBe(1);
});

test("a page that is loaded while a late answer is awaited says so, and it fills in there", async () => {
  const chat = await world.open();
  const question = "!hang";
  const turn = await chat.ask(question);
  await chat.reaches(question, "failed");
  await chat.page.reload();
  // Of what the history tells, too.
  await seen(chat.turn(question).getByText(chat.words.lookingForLate));
  new Hand(chat.server, chat.user.id, (await turn.getAttribute("data-turn"))!).finishes("At last.");
  await chat.reaches(question, "done");
  await chat.page.reload();
  await seen(chat.turn(question).getByText(chat.words.late));
  expect(await chat.answer(question)).toBe("At last.");
});

test("where the server has no hope any more the page says so, and asks no further", async () => {
  const chat = await world.open();
  let asked = 0;
  await chat.page.route("**/api/paliadin/turns/*/recover", async (route) => {
    asked += 1;
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), recovery_state: "lost" } });
  });
  const turn = await chat.ask("!hang");
  await chat.reaches("!hang", "failed");
  await seen(turn.getByText(chat.words.neverAnswered));
  await gone(turn.getByText(chat.words.lookingForLate));
  // Coming back is a reason to ask for all that is not known for good; the second time, what the first asked has gone out.
  for (let times = 0; times < 2; times += 1) {
    const refreshed = chat.page.waitForResponse(/\/api\/paliadin\/history/);
    await chat.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await refreshed;
  }
  expect(asked).toBe(1);
});
