import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { violations } from "./harness/axe";
import { seedConversation } from "./harness/seed";
import { seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();
const looks = [
  { viewport: { width: 1280, height: 800 }, colorScheme: "light", locale: "en-GB" },
  { viewport: { width: 320, height: 640 }, colorScheme: "dark", locale: "de-DE" },
  { viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "en-GB" },
] as const;
/** Colours on their way from one to another are no colours to be judged. */
const still = { reducedMotion: "reduce" } as const;

test.for(looks)("nothing keeps anyone out: $viewport.width px, $colorScheme, $locale", async (look) => {
  const chat = await world.open({ ...look, ...still });
  const wide = look.viewport.width > 800;
  const check = async (state: string) => expect(await violations(chat.page), state).toEqual([]);
  await seen(chat.page.getByRole("heading", { name: chat.words.greeting }));
  await check("a new conversation");
  await chat.askAndWait("What is here?");
  await chat.askAndWait(
    "!echo | a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nconst answer = 42; // with a comment\n```",
  );
  const turn = await chat.askAndWait("!meta sql,search 3,4 lookup");
  await chat.button(chat.words.details, turn).click();
  await chat.ask("!die");
  await chat.reaches("!die", "failed");
  await seen(chat.page.getByText(chat.words.exitStatus("1")));
  await check("answers, a failure, and a notice");
  await chat.ask("!ask Which one?");
  await chat.reaches("!ask Which one?", "asking");
  await chat.ask("!echo waits");
  await seen(chat.turn("!echo waits").getByText(chat.words.queued(1)));
  await check("a question of the agent, and one that waits");
  await chat.button(chat.words.stop, chat.turn("!ask Which one?")).click();
  await chat.reaches("!echo waits", "done");
  await chat.turn("!echo waits").hover();
  await chat.button(chat.words.edit, chat.turn("!echo waits")).click();
  await check("a question that is edited");
  await chat.page.keyboard.press("Escape");
  await chat.button(chat.words.more).click();
  await check("a menu");
  await chat.page.keyboard.press("Escape");
  for (const item of [chat.words.rename, chat.words.remove, chat.words.restartAgent]) {
    await chat.choose(item);
    await seen(chat.dialog);
    await check(item);
    await chat.page.keyboard.press("Escape");
  }
  if (!wide) await chat.button(chat.words.openSidebar).click();
  await check("the list of conversations");
  for (const name of [chat.words.settings, chat.words.shortcuts]) {
    await chat.button(name, chat.list).click();
    await seen(chat.dialog);
    await check(name);
    await chat.page.keyboard.press("Escape");
  }
});

test.for(looks)("neither do the states between: $viewport.width px, $colorScheme, $locale", async (look) => {
  const user = world.server.user();
  seedConversation(world.server, user, "Found", [{ question: "Q", answer: "A" }]);
  const chat = await world.open({ ...look, ...still, user, sessionId: randomUUID() });
  chat.watch.expect(/Failed to load resource/);
  const check = async (state: string) => expect(await violations(chat.page), state).toEqual([]);
  await seen(chat.page.getByRole("heading", { name: chat.words.notFound }));
  await check("a conversation that is not there");
  await chat.page.route("**/api/paliadin/**", (route) => route.abort());
  await chat.page.reload();
  await seen(chat.page.getByRole("heading", { name: chat.words.unreachable }));
  await check("no server");
  const signedOut = await world.visit({ ...look, ...still, user: null });
  signedOut.watch.expect(/status of 401/);
  await signedOut.page.goto(`${world.server.origin}/paliadin`);
  expect(await violations(signedOut.page), "not signed in").toEqual([]);
});
