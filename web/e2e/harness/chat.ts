/** The chat page as a reader sees it: found by roles and labels, in the language of the page. */

import type { BrowserContext, Locator, Page } from "playwright-core";
import { de } from "../../src/lib/i18n/de";
import { en, type Messages } from "../../src/lib/i18n/en";
import type { Server, User } from "./server";
import { seen } from "./wait";
import type { Watch } from "./watch";

export class ChatPage {
  readonly page: Page;
  readonly server: Server;
  readonly user: User;
  readonly watch: Watch;
  /** The texts of the page's language. */
  readonly words: Messages;
  /** Where the browser has the server; another one where something lies between. */
  origin: string;

  constructor(page: Page, server: Server, user: User, watch: Watch, language: "en" | "de") {
    this.page = page;
    this.server = server;
    this.origin = server.origin;
    this.user = user;
    this.watch = watch;
    this.words = language === "de" ? de : en;
  }

  get context(): BrowserContext {
    return this.page.context();
  }

  get composer(): Locator {
    return this.page.getByRole("textbox", { name: this.words.message, exact: true });
  }

  /** Every turn of the conversation, from the first to the last. */
  get turns(): Locator {
    return this.page.locator("article.turn");
  }

  /** The list of conversations. */
  get list(): Locator {
    return this.page.getByRole("navigation", { name: this.words.conversations });
  }

  /** What scrolls. */
  get scroller(): Locator {
    return this.page.locator(".scroller");
  }

  get dialog(): Locator {
    return this.page.getByRole("dialog");
  }

  /** The address's conversation; empty for one that is not begun. */
  get sessionId(): string {
    return new URL(this.page.url()).hash.slice(1);
  }

  /** Opens the page at a conversation, or a new one, and waits until it can be asked. */
  async go(sessionId = ""): Promise<void> {
    await this.page.goto(`${this.origin}/paliadin${sessionId === "" ? "" : `#${sessionId}`}`);
    await seen(this.composer);
  }

  button(name: string, within: Locator | Page = this.page): Locator {
    return within.getByRole("button", { name, exact: true });
  }

  /** The last turn with this question. */
  turn(question: string): Locator {
    return this.turns.filter({ has: this.page.locator(".text", { hasText: exactly(question) }) }).last();
  }

  /** The answer's text as it is shown now; empty before there is one. */
  async answer(question: string): Promise<string> {
    const answer = this.turn(question).locator(".answer");
    return (await answer.count()) === 0 ? "" : ((await answer.textContent()) ?? "").trim();
  }

  /** The lines of an answer to `!lines` that are shown now. */
  async lines(question: string): Promise<string[]> {
    return (await this.answer(question)).match(/line \d+/g) ?? [];
  }

  /** Waits until an answer to `!lines` has come so far. */
  async showsLine(question: string, number: number): Promise<void> {
    await seen(this.turn(question).getByText(new RegExp(`line ${number}(?!\\d)`)));
  }

  /** Where a turn stands: `sending`, `queued`, `working`, `done` and so on. */
  async phase(question: string): Promise<string> {
    const turn = this.turn(question);
    return (await turn.count()) === 0 ? "" : ((await turn.getAttribute("data-phase")) ?? "");
  }

  /** Waits until a turn stands there. */
  async reaches(question: string, phase: string): Promise<Locator> {
    const turn = this.turn(question);
    await turn.and(this.page.locator(`[data-phase="${phase}"]`)).waitFor({ state: "attached" });
    return turn;
  }

  /** Types a question and sends it. */
  async ask(question: string): Promise<Locator> {
    await this.composer.fill(question);
    await this.composer.press("Enter");
    return this.turn(question);
  }

  /** Asks, and waits for the whole answer. */
  async askAndWait(question: string): Promise<Locator> {
    await this.ask(question);
    return this.reaches(question, "done");
  }

  /** Opens the page's menu, and chooses. */
  async choose(item: string): Promise<void> {
    await this.button(this.words.more).click();
    await this.page.getByRole("menuitem", { name: item, exact: true }).click();
  }

  /** The entry of a conversation in the list. */
  entry(title: string): Locator {
    return this.list.getByRole("listitem").filter({ has: this.page.getByRole("link", { name: title }) });
  }

  /** The titles in the list, from the top. */
  async titles(): Promise<string[]> {
    return this.list.locator("li .title").allTextContents();
  }

  /** Has the browser draw this page at full pace: a page behind another one gets a frame a second. */
  async toFront(): Promise<this> {
    await this.page.bringToFront();
    return this;
  }

  /** Another page of the same browser and user. */
  async anotherTab(sessionId = this.sessionId): Promise<ChatPage> {
    const page = await this.context.newPage();
    const language = this.words === de ? "de" : "en";
    const other = new ChatPage(page, this.server, this.user, this.watch, language);
    other.origin = this.origin;
    await other.go(sessionId);
    return other;
  }
}

/** Matches this very text, whatever its white space. */
function exactly(text: string): RegExp {
  const escaped = text.trim().replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  return new RegExp(`^\\s*${escaped.replaceAll(/\s+/g, "\\s+")}\\s*$`);
}
