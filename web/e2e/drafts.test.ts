import { expect, test } from "vitest";
import { seedConversation } from "./harness/seed";
import { useWorld } from "./harness/world";

const world = useWorld();

test("a draft is kept over a reload, for its conversation alone, until it is sent", async () => {
  const user = world.server.user();
  const seed = (name: string) =>
    seedConversation(world.server, user, name, [{ question: `Ask ${name}`, answer: "yes" }]);
  const [one, two] = [seed("one"), seed("two")];
  const chat = await world.open({ user, sessionId: one });
  await chat.composer.fill("!echo half a thou");
  await chat.page.reload();
  await expect.poll(() => chat.composer.inputValue()).toBe("!echo half a thou");
  await chat.entry("two").getByRole("link").click();
  await expect.poll(() => chat.sessionId).toBe(two);
  await expect.poll(() => chat.composer.inputValue()).toBe("");
  await chat.composer.fill("of the second");
  await chat.button(chat.words.newChat, chat.list).click();
  await expect.poll(() => chat.composer.inputValue()).toBe("");
  await chat.composer.fill("of a new one");
  await chat.entry("one").getByRole("link").click();
  await expect.poll(() => chat.composer.inputValue()).toBe("!echo half a thou");
  await chat.composer.press("Enter");
  await chat.reaches("!echo half a thou", "done");
  expect(await chat.composer.inputValue()).toBe("");
  await chat.page.reload();
  await chat.reaches("!echo half a thou", "done");
  expect(await chat.composer.inputValue()).toBe("");
  await chat.entry("two").getByRole("link").click();
  await expect.poll(() => chat.composer.inputValue()).toBe("of the second");
  await chat.button(chat.words.newChat, chat.list).click();
  await expect.poll(() => chat.composer.inputValue()).toBe("of a new one");
});

test("a draft that is typed in one tab and sent there is not left over in another", async () => {
  const chat = await world.open();
  await chat.askAndWait("!echo begin");
  const other = await chat.anotherTab();
  await chat.toFront();
  await chat.composer.fill("!echo from here");
  await expect.poll(() => other.composer.inputValue()).toBe("!echo from here");
  await chat.composer.press("Enter");
  await chat.reaches("!echo from here", "done");
  await expect.poll(() => other.composer.inputValue()).toBe("");
});
