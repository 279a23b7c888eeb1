import { expect, test } from "vitest";
import { record } from "./harness/record";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

test("only the block that is being written is rendered again", async () => {
  const chat = await world.open();
  await chat.page.evaluate(() => {
    const watched = { changed: 0, first: null as Element | null };
    Object.assign(window, { watched });
    new MutationObserver(() => {
      const blocks = document.querySelectorAll(".answer .block");
      const first = blocks[0]?.firstElementChild;
      if (blocks.length < 2 || !first || watched.first) return;
      // A second block has begun: the first one stays as it is from here on.
      watched.first = first;
      const look = { subtree: true, childList: true, characterData: true, attributes: true };
      new MutationObserver(() => watched.changed++).observe(first.parentElement!, look);
    }).observe(document.body, { subtree: true, childList: true });
  });
  const turn = await chat.askAndWait("Which block is open?");
  await seen(turn.getByRole("button", { name: "Ask again" }));
  const [same, changed] = await chat.page.evaluate(() => {
    const { watched } = window as unknown as { watched: { changed: number; first: Element | null } };
    const first = document.querySelector(".answer .block")?.firstElementChild;
    return [first !== null && watched.first === first, watched.changed];
  });
  expect(same).toBe(true);
  expect(changed).toBe(0);
});

test("an answer that comes at once is typed out, or shown whole by a button", async () => {
  const chat = await world.open();
  const texts = await record(chat.page, ".answer");
  const turn = await chat.ask("!big 4000");
  // By the keyboard: for a click it would have to stand still, and it stands below what is being typed.
  await chat.button(chat.words.skipTyping, turn).press("Enter");
  await expect.poll(async () => (await chat.answer("!big 4000")).length).toBeGreaterThan(3_900);
  const lengths = (await texts()).map((text) => text.length);
  expect(lengths[0]).toBeLessThan(3_000);
  await gone(chat.button(chat.words.skipTyping, turn));
});

test("where the reader wants no movement nothing is typed out", async () => {
  const chat = await world.open({ reducedMotion: "reduce" });
  const texts = await record(chat.page, ".answer");
  await chat.askAndWait("!big 4000");
  await expect.poll(async () => (await chat.answer("!big 4000")).length).toBeGreaterThan(3_900);
  for (const text of await texts()) expect(text.length).toBeGreaterThan(3_900);
});

test("code is highlighted, and copied as it is", async () => {
  const chat = await world.open({ permissions: ["clipboard-read", "clipboard-write"] });
  const code = 'const greeting = "a < b";\n\tconsole.log(greeting);';
  const question = `!echo Here:\n\n\`\`\`js\n${code}\n\`\`\``;
  const turn = await chat.askAndWait(question);
  await seen(turn.locator("pre .hljs-keyword"));
  await chat.button(chat.words.copy, turn).click();
  await seen(turn.locator("pre").getByRole("button", { name: chat.words.copied }));
  const clipboard = () => chat.page.evaluate(() => navigator.clipboard.readText());
  expect((await clipboard()).trimEnd()).toBe(code);
  await turn.hover();
  await chat.button(chat.words.copyAnswer, turn).click();
  await expect.poll(clipboard).toBe(question.replace("!echo ", ""));
  await chat.button(chat.words.copyQuestion, turn).click();
  await expect.poll(clipboard).toBe(question);
});

test("tables are tables, and a wide one scrolls by itself", async () => {
  const chat = await world.open({ viewport: { width: 320, height: 640 } });
  const wide = "x".repeat(60);
  const turn = await chat.askAndWait(`!echo | deal | state |\n|---|---|\n| 7 | ${wide} |\n| 8 | open |`);
  const table = turn.getByRole("table");
  await seen(table);
  await expect.poll(() => table.getByRole("row").count()).toBe(3);
  expect(await table.getByRole("columnheader").allTextContents()).toEqual(["deal", "state"]);
  const page = await chat.page.evaluate(() => document.documentElement.scrollWidth);
  expect(page).toBe(320);
});

test("chips ask the next question, or go to a place of this site; others are no chips", async () => {
  const chat = await world.open();
  const chips = [
    "[!echo by label](chip:ask)",
    "[By text](chip:ask/!echo%20by%20text)",
    "[To a place](chip:go/paliadin?from=chip)",
    "[Evil one](chip:go//evil.example/)",
    "[Evil two](chip:go/\\evil.example/)",
    "[Evil three](javascript:alert(1))",
    "[Evil four](chip:go/%2F%2Fevil.example)",
    "`[In code](chip:ask)`",
  ];
  const turn = await chat.askAndWait(`!echo ${chips.join(" ")}`);
  const chip = (name: string) => chat.button(name, turn.locator(".answer"));
  await seen(turn.locator("code", { hasText: "In code" }));
  expect(await turn.locator(".answer").getByRole("button").count()).toBe(3);
  expect(await turn.locator(".answer a").count()).toBe(0);
  await chip("!echo by label").click();
  await chat.reaches("!echo by label", "done");
  await chip("By text").click();
  await chat.reaches("!echo by text", "done");
  expect(world.server.timesTyped("!echo by text")).toBe(1);
  await chip("To a place").click();
  await chat.page.waitForURL(`${world.server.origin}/paliadin?from=chip`);
});
