import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { ChatPage } from "./harness/chat";
import { seedConversation } from "./harness/seed";
import { seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

async function exported(chat: ChatPage): Promise<{ name: string; text: string }> {
  const downloading = chat.page.waitForEvent("download");
  await chat.choose(chat.words.exportMarkdown);
  const download = await downloading;
  return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
}

test("the export has every turn, in order", async () => {
  const user = world.server.user();
  const turns = Array.from({ length: 250 }, (_, at) => ({
    question: `Question ${at + 1}`,
    answer: `Answer **${at + 1}**`,
  }));
  const sessionId = seedConversation(world.server, user, 'A "long" talk: über/alles', turns);
  const chat = await world.open({ user, sessionId });
  await seen(chat.turn("Question 250"));
  const { name, text } = await exported(chat);
  expect(name).toBe("A long talk über alles.md");
  expect(text.startsWith('# A "long" talk: über/alles\n')).toBe(true);
  const parts = text.match(/^(?:> Question |Answer \*\*)\d+/gm)?.map((part) => part.replace("**", ""));
  expect(parts).toEqual(turns.flatMap((_, at) => [`> Question ${at + 1}`, `Answer ${at + 1}`]));
});

test("the export tells what was not answered", async () => {
  const chat = await world.open();
  await chat.askAndWait("!echo several\nlines # of it");
  await chat.ask("!die");
  await chat.reaches("!die", "failed");
  const { text } = await exported(chat);
  expect(text).toContain("> !echo several\n> lines # of it\n");
  expect(text).toContain("\nseveral\nlines # of it\n");
  expect(text).toContain(`> !die\n\n## ${chat.words.agent}\n\n*${chat.words.errors.agent_died![0]}*`);
});
