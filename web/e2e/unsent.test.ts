import { expect, test } from "vitest";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();
/** What a browser says when requests fail, as they have to here. */
const FAILED = /Failed to load resource/;

test("what is sent without a network goes out once there is one, once", async () => {
  const chat = await world.open();
  chat.watch.expect(FAILED);
  await chat.askAndWait("!echo before");
  await chat.context.setOffline(true);
  await seen(chat.page.getByText(chat.words.offline));
  const turn = await chat.ask("!echo without a network");
  await chat.reaches("!echo without a network", "unsent");
  await seen(turn.getByText(chat.words.unsentOffline));
  await chat.context.setOffline(false);
  await chat.reaches("!echo without a network", "done");
  await gone(chat.page.getByText(chat.words.offline));
  expect(world.server.timesTyped("!echo without a network")).toBe(1);
});

test("what is sent while the server is away goes out after its start, once", async () => {
  const chat = await world.open();
  chat.watch.expect(FAILED);
  await chat.askAndWait("!echo a beginning");
  await world.server.stop();
  await chat.ask("!echo while it was away");
  await chat.reaches("!echo while it was away", "unsent");
  await world.server.start();
  await chat.reaches("!echo while it was away", "done");
  expect(world.server.timesTyped("!echo while it was away")).toBe(1);
  expect(await chat.turns.count()).toBe(2);
});

test("what was not sent yet is sent after a reload, once", async () => {
  const chat = await world.open();
  chat.watch.expect(FAILED);
  await chat.askAndWait("!echo a start");
  await chat.page.route("**/api/paliadin/turn", (route) => route.abort());
  await chat.ask("!echo over a reload");
  await chat.reaches("!echo over a reload", "unsent");
  await chat.page.unroute("**/api/paliadin/turn");
  await chat.page.reload();
  await chat.reaches("!echo over a reload", "done");
  expect(world.server.timesTyped("!echo over a reload")).toBe(1);
});

test("a question whose 202 was lost is not asked twice", async () => {
  const chat = await world.open();
  chat.watch.expect(FAILED);
  await chat.askAndWait("!echo at first");
  let lost = 0;
  await chat.page.route("**/api/paliadin/turn", async (route) => {
    if (lost > 0) return route.continue();
    lost += 1;
    // The server takes it; the answer never arrives.
    await route.fetch();
    await route.abort();
  });
  await chat.ask("!echo taken already");
  await chat.reaches("!echo taken already", "done");
  expect(lost).toBe(1);
  expect(world.server.timesTyped("!echo taken already")).toBe(1);
  expect(await chat.turns.count()).toBe(2);
});

test("what was not sent can be discarded", async () => {
  const chat = await world.open();
  chat.watch.expect(FAILED);
  await chat.askAndWait("!echo to begin with");
  await chat.page.route("**/api/paliadin/turn", (route) => route.abort());
  const turn = await chat.ask("!echo better not");
  await chat.reaches("!echo better not", "unsent");
  await chat.button(chat.words.discard, turn).click();
  await gone(turn);
  await chat.page.unroute("**/api/paliadin/turn");
  await chat.page.reload();
  await chat.askAndWait("!echo but this");
  expect(world.server.timesTyped("!echo better not")).toBe(0);
});
