import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "vitest";
import { settled } from "./harness/axe";
import { Hand } from "./harness/agent";
import { seedReader, tour } from "./harness/tour";
import { seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();
const FOLDER = resolve(import.meta.dirname, "shots");
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const SCHEMES = { light: "dark", dark: "light" } as const;
/** As much of an answer as fits a picture; it goes on. */
const PICTURED = `**12 orders** are open, and *two* of them are overdue:

| Order | Customer | Due | Sum |
|---|:--|:-:|--:|
| 1041 | North Sea Boats | Mon | 1,204.00 |
| 1057 | Miller & Sons | Tue | 88.50 |

This is how I asked for them:

\`\`\`sql
SELECT id, customer, due, sum FROM orders
WHERE due < now() AND state = 'open';
\`\`\`

[Who is late?](chip:ask) [Only mine](chip:ask/Show%20only%20my%20orders) [Open the list](chip:go/orders)

Next I look at what`;

test.for([
  { name: "desktop-en", device: DESKTOP, locale: "en-GB" },
  { name: "desktop-de", device: DESKTOP, locale: "de-DE" },
  { name: "phone-en", device: PHONE, locale: "en-GB" },
  { name: "phone-de", device: PHONE, locale: "de-DE" },
])("$name", async ({ name, device, locale }) => {
  let count = 0;
  const options = { ...device, locale, colorScheme: "light", reducedMotion: "reduce" } as const;
  await tour(world, options, async ({ page }, state) => {
    count += 1;
    for (const scheme of [SCHEMES.light, SCHEMES.dark]) {
      await page.emulateMedia({ colorScheme: scheme });
      await settled(page);
      const folder = join(FOLDER, `${name}-${scheme}`);
      mkdirSync(folder, { recursive: true });
      await page.screenshot({ path: join(folder, `${String(count).padStart(2, "0")}-${state}.png`) });
    }
  });
});

test.for([
  { name: "chat-desktop", device: DESKTOP, colorScheme: "light" },
  { name: "chat-phone", device: PHONE, colorScheme: "dark" },
] as const)("for the README: $name", async ({ name, device, colorScheme }) => {
  const { user, sessionId } = seedReader(world.server);
  world.server.sql(`DELETE FROM paliadin_turns WHERE session_id = '${sessionId}'`);
  const chat = await world.open({ ...device, colorScheme, locale: "en-GB", reducedMotion: "reduce", user });
  await chat.composer.fill("!hang");
  await chat.button(chat.words.send).click();
  await chat.reaches("!hang", "working");
  const id = (await chat.turns.last().getAttribute("data-turn"))!;
  // The demo agent hangs; for the picture somebody asked something sensible.
  const question = "Which orders are open this week?";
  world.server.sql(
    `UPDATE paliadin_turns SET user_message = '${question}' WHERE turn_id = '${id}';
     UPDATE conversations SET title = '${question}' WHERE session_id = '${chat.sessionId}'`,
  );
  new Hand(world.server, user.id, id).writes(PICTURED);
  await chat.page.reload();
  await seen(chat.page.getByRole("button", { name: "Who is late?" }));
  await seen(chat.page.locator(".hljs-keyword").first());
  await settled(chat.page);
  await chat.page.screenshot({ path: join(FOLDER, `${name}.png`) });
  await chat.button(chat.words.stop, chat.turns.last()).click();
  await chat.reaches(question, "cancelled");
});
