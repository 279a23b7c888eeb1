/** What a file of tests has: a server, a browser, and pages that are looked after. */

import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { ChatPage } from "./chat";
import { Server, type User } from "./server";
import { PATIENCE } from "./wait";
import { Watch } from "./watch";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SWITCHES = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** Pictures of pages whose test failed. */
const PICTURES = resolve(import.meta.dirname, "../shots/failed");

export interface Opening extends BrowserContextOptions {
  /** Who is signed in: an account of its own where none is given, nobody where it is `null`. */
  user?: User | null;
  /** The conversation in the address. */
  sessionId?: string;
  /** Where the browser has the server, if something lies between. */
  origin?: string;
  /** Something to be done before the first page is there. */
  prepare?: (context: BrowserContext) => Promise<void>;
}

export class World {
  server: Server;
  browser!: Browser;
  #open: { context: BrowserContext; watch: Watch }[] = [];

  constructor(env: Record<string, string>) {
    this.server = new Server(env);
  }

  async start(): Promise<void> {
    await this.server.start();
    this.browser = await chromium.launch({ executablePath: CHROMIUM, args: SWITCHES });
  }

  /** A browser context of its own, with a page that has not been anywhere. */
  async visit(options: Opening = {}): Promise<ChatPage> {
    const { user: given, sessionId: _, origin = this.server.origin, prepare, ...rest } = options;
    const user = given === undefined ? this.server.user() : (given ?? { id: "", email: "", cookie: "" });
    const context = await this.browser.newContext({ locale: "en-GB", ...rest });
    context.setDefaultTimeout(PATIENCE);
    const watch = new Watch(context, origin);
    this.#open.push({ context, watch });
    await Watch.policy(context);
    if (user.cookie !== "") await this.signIn(context, user);
    await prepare?.(context);
    const language = (rest.locale ?? "en").startsWith("de") ? "de" : "en";
    const chat = new ChatPage(await context.newPage(), this.server, user, watch, language);
    chat.origin = origin;
    return chat;
  }

  /** A browser context with the chat page, ready to be asked. */
  async open(options: Opening = {}): Promise<ChatPage> {
    const chat = await this.visit(options);
    await chat.go(options.sessionId);
    return chat;
  }

  /** Gives a browser the cookie that a sign-in link would give it. */
  async signIn(context: BrowserContext, user: User): Promise<void> {
    await context.addCookies([
      {
        name: "paliadin_session",
        value: user.cookie,
        url: this.server.origin,
        httpOnly: true,
        sameSite: "Strict",
      },
    ]);
  }

  /** Closes what a test opened; what went wrong on its pages is the error. */
  async closePages(failed: boolean, name: string): Promise<void> {
    const open = this.#open;
    this.#open = [];
    const wrong = open.flatMap(({ watch }) => watch.wrong);
    if (failed) await this.#picture(open, name);
    for (const { context } of open) await context.close();
    if (failed) console.info(`${name}\n${wrong.join("\n")}\nserver log:\n${this.server.log.slice(-4_000)}`);
    else expect(wrong, "what the pages did and should not have done").toEqual([]);
  }

  async end(): Promise<void> {
    await this.browser?.close();
    await this.server.close();
  }

  async #picture(open: { context: BrowserContext }[], name: string): Promise<void> {
    mkdirSync(PICTURES, { recursive: true });
    const file = name.replaceAll(/[^\w-]+/g, "-").slice(0, 80);
    const pages = open.flatMap(({ context }) => context.pages());
    for (const [at, page] of pages.entries()) {
      await page.screenshot({ path: join(PICTURES, `${file}-${at}.png`) }).catch(() => {});
    }
  }
}

/** A server and a browser for the tests of this file; every test opens pages of its own. */
export function useWorld(env: Record<string, string> = {}): World {
  const world = new World(env);
  beforeAll(() => world.start());
  afterEach((context) => world.closePages(context.task.result?.state === "fail", context.task.name));
  afterAll(() => world.end());
  return world;
}
