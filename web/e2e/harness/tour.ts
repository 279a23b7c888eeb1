/** Leads through every state of the chat page, for whoever looks at each of them. */

import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { Hand } from "./agent";
import type { ChatPage } from "./chat";
import { seedConversation } from "./seed";
import type { Server, User } from "./server";
import { gone, seen } from "./wait";
import type { Opening, World } from "./world";

/** Looks at the page in the state of that name. */
export type Look = (chat: ChatPage, state: string) => Promise<void>;

/** An answer with every construct. */
export const ANSWER = `# Orders this week

There are **12 open orders**, *two* of them ~~late~~ overdue; see [the list](https://example.org/orders) or \`orders.csv\`.

1. Sort them by date
2. Ask about these two:
   - No. 1041, since Monday
   - No. 1057
- [x] checked against the stock
- [ ] told the customer

| Order | Customer | Due | Sum |
|---|:--|:-:|--:|
| 1041 | North Sea Boats | Mon | 1,204.00 |
| 1057 | Miller & Sons | Tue | 88.50 |

\`\`\`sql
-- What is overdue?
SELECT id, customer, due FROM orders
WHERE due < now() AND state = 'open' ORDER BY due LIMIT 10;
\`\`\`

> Deliveries of Friday are not in yet.

---

[Who is late?](chip:ask) [Only mine](chip:ask/Show%20only%20my%20orders) [Open the list](chip:go/orders)`;

const CODES = ["agent_died", "timeout", "response_too_large", "agent_crash_loop"];

/** A user with a history, as a reader of some days would have it. */
export function seedReader(server: Server): { user: User; sessionId: string } {
  const user = server.user(`ann-${randomUUID().slice(0, 4)}@example.org`);
  const day = 86_400_000;
  const titles = ["Stock of the north warehouse", "Prices for Miller & Sons", "Which tables hold invoices?"];
  for (const [at, title] of titles.entries()) {
    seedConversation(
      server,
      user,
      title,
      [{ question: title, answer: "Here." }],
      Date.now() - (at + 1) * 2 * day,
    );
  }
  const turns = [{ question: "Which orders are open?", answer: ANSWER }];
  return { user, sessionId: seedConversation(server, user, "Which orders are open?", turns) };
}

/** Every state, one after the other. */
export async function tour(world: World, options: Opening, look: Look): Promise<void> {
  const { server } = world;
  await before(world, options, look);
  const { user, sessionId } = seedReader(server);
  const chat = await world.open({ ...options, user });
  chat.watch.expect(/Failed to load resource/);
  const { page, words } = chat;
  await seen(page.getByRole("heading", { name: words.greeting }));
  await look(chat, "new");
  await loading(chat, sessionId, look);
  await lists(chat, look);
  await working(chat, look);
  await ended(chat, look);
  await dialogs(chat, look);
  await troubles(chat, look);
}

async function before(world: World, options: Opening, look: Look): Promise<void> {
  const nobody = await world.visit({ ...options, user: null });
  nobody.watch.expect(/status of 401/);
  await nobody.page.goto(`${world.server.origin}/paliadin`);
  await look(nobody, "notice-sign-in");
  await nobody.page.goto(`${world.server.origin}/paliadin/sign-in?token=used`);
  await look(nobody, "notice-link-used");
}

async function loading(chat: ChatPage, sessionId: string, look: Look): Promise<void> {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  await chat.page.route("**/api/paliadin/history**", async (route) => {
    await opened;
    await route.continue();
  });
  await chat.page.evaluate((id) => (location.hash = id), sessionId);
  await seen(chat.page.locator(".skeleton"));
  await look(chat, "loading");
  open();
  await seen(chat.page.getByRole("table"));
  await chat.page.unroute("**/api/paliadin/history**");
  await seen(chat.page.locator(".hljs-keyword").first());
  await look(chat, "conversation");
  await chat.turns.last().hover();
  await chat.button(chat.words.details, chat.turns.last()).click();
  await look(chat, "details");
  await chat.button(chat.words.edit, chat.turns.last()).click();
  await look(chat, "editing");
  await chat.page.keyboard.press("Escape");
}

async function drawer(chat: ChatPage): Promise<void> {
  if (!(await chat.list.isVisible())) await chat.button(chat.words.openSidebar).click();
  await seen(chat.list);
}

async function lists(chat: ChatPage, look: Look): Promise<void> {
  const { words, list, page } = chat;
  const isNarrow = !(await list.isVisible());
  await drawer(chat);
  await look(chat, "list");
  const search = list.getByRole("searchbox");
  await search.fill("Miller");
  await expect.poll(() => chat.titles()).toHaveLength(2);
  await look(chat, "search");
  await search.fill("nothing like this");
  await seen(list.getByText(words.noMatch("nothing like this")));
  await look(chat, "search-nothing");
  await search.fill("");
  await list.getByRole("button", { name: words.optionsOf("Prices for Miller & Sons") }).click();
  await look(chat, "list-menu");
  await page.keyboard.press("Escape");
  for (const [name, state] of [
    [words.settings, "settings"],
    [words.shortcuts, "help"],
  ] as const) {
    await chat.button(name, list).click();
    await seen(chat.dialog);
    await look(chat, state);
    await page.keyboard.press("Escape");
    await gone(chat.dialog);
  }
  if (isNarrow) await chat.button(words.closeSidebar, list).click();
}

async function send(chat: ChatPage, question: string): Promise<void> {
  await chat.composer.fill(question);
  await chat.button(chat.words.send).click();
}

async function working(chat: ChatPage, look: Look): Promise<void> {
  const { words, page } = chat;
  await send(chat, "!hang");
  const turn = await chat.reaches("!hang", "working");
  const hand = new Hand(chat.server, chat.user.id, (await turn.getAttribute("data-turn"))!);
  hand.signals("activity", { tool: "sql", label: "Searching the deadlines…", state: "started" });
  await seen(turn.getByText("Searching the deadlines…"));
  await look(chat, "activity");
  hand.writes(ANSWER.slice(0, ANSWER.indexOf("WHERE")));
  await seen(turn.locator("pre.code"));
  await look(chat, "streaming");
  hand.writes(ANSWER.slice(ANSWER.indexOf("WHERE")));
  await seen(turn.getByRole("button", { name: "Who is late?" }));
  hand.signals("attention", { kind: "permission", prompt: "Run `rm -r build`?", options: ["allow", "deny"] });
  await seen(turn.locator(".attention"));
  await look(chat, "permission");
  hand.signals("attention_over");
  hand.signals("attention", { kind: "question", prompt: "Which year?", options: ["2025", "2026"] });
  await seen(turn.getByText("Which year?"));
  await send(chat, "And what comes after that?");
  await chat.reaches("And what comes after that?", "queued");
  await look(chat, "question-and-queued");
  await chat.button(words.stop, turn).click();
  await chat.reaches("!hang", "cancelled");
  await chat.reaches("And what comes after that?", "done");
  await seen(page.getByRole("list").last());
  await look(chat, "cancelled");
}

async function ended(chat: ChatPage, look: Look): Promise<void> {
  const { server, user } = chat;
  await send(chat, "!die");
  await chat.reaches("!die", "failed");
  await look(chat, "agent-ended");
  const question = "Summarise the contract, clause by clause.";
  const failed = seedConversation(
    server,
    user,
    "What went wrong",
    [...CODES, "late"].map((code) => ({ question: `${question} (${code})`, answer: "It came late." })),
  );
  for (const code of CODES) {
    server.sql(
      `UPDATE paliadin_turns SET state = 'failed', error_code = '${code}', response = NULL,
       partial = ${code === "agent_died" ? "'The first clause says that'" : "NULL"}
       WHERE session_id = '${failed}' AND user_message LIKE '%(${code})'`,
    );
  }
  server.sql(
    `UPDATE paliadin_turns SET late = 1 WHERE session_id = '${failed}' AND user_message LIKE '%(late)'`,
  );
  await chat.page.evaluate((id) => (location.hash = id), failed);
  await seen(chat.turns.last());
  await look(chat, "failures");
  await chat.page.evaluate((id) => (location.hash = id), randomUUID());
  await seen(chat.page.getByRole("heading", { name: chat.words.notFound }));
  await look(chat, "not-found");
  await chat.page.goBack();
  await seen(chat.turns.last());
}

async function dialogs(chat: ChatPage, look: Look): Promise<void> {
  const { words, page } = chat;
  await chat.button(words.more).click();
  await look(chat, "menu");
  await page.keyboard.press("Escape");
  for (const [item, state] of [
    [words.rename, "rename"],
    [words.remove, "delete"],
    [words.restartAgent, "restart"],
  ] as const) {
    await chat.choose(item);
    await seen(chat.dialog);
    await look(chat, state);
    await page.keyboard.press("Escape");
    await gone(chat.dialog);
  }
  await chat.composer.fill("too long ".repeat(8_000));
  await look(chat, "too-long");
  await chat.composer.fill("");
}

async function troubles(chat: ChatPage, look: Look): Promise<void> {
  const { words, page, context } = chat;
  await context.setOffline(true);
  await seen(page.getByText(words.offline));
  await send(chat, "Sent without a network");
  await chat.reaches("Sent without a network", "unsent");
  await look(chat, "offline");
  await context.setOffline(false);
  await chat.reaches("Sent without a network", "done");
  const api = "**/api/paliadin/**";
  await page.route(api, (route) => route.abort());
  await page.reload();
  await seen(page.getByRole("heading", { name: words.unreachable }));
  await look(chat, "unreachable");
  await page.unroute(api);
  await chat.button(words.tryNow).click();
  await seen(chat.composer);
  chat.server.sql(`DELETE FROM web_sessions WHERE user_id = '${chat.user.id}'`);
  await send(chat, "Sent while signed out");
  await seen(page.getByText(words.signedOut).first());
  await look(chat, "signed-out");
}
