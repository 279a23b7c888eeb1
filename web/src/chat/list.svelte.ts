/** The list of conversations, and the search in it. */

import { Unreachable, type Api } from "../lib/api";
import type { Conversation } from "../lib/wire";

const PAGE = 50;
/** How long a pause in typing is waited for before the server is asked, in milliseconds. */
const TYPING = 200;

export class ConversationList {
  /** `null` until the server answered for the first time. */
  items: readonly Conversation[] | null = $state.raw(null);
  found: readonly Conversation[] | null = $state.raw(null);
  search = $state("");
  /** The server has not said yet what it finds. */
  searching = $state(false);
  hasMore = $state(false);
  failed: "unreachable" | "failed" | null = $state(null);
  readonly #api: Api;
  #reading = new AbortController();
  #searching = new AbortController();
  #typing: ReturnType<typeof setTimeout> | undefined;
  #busy = false;
  /** What is being read may be out of date when it comes. */
  #again = false;

  constructor(api: Api) {
    this.#api = api;
  }

  /** What is to be shown: all, or what the search found. */
  get shown(): readonly Conversation[] | null {
    return this.search.trim() === "" ? this.items : this.found;
  }

  /** Reads the list anew; several calls at once are one or two requests. */
  async refresh(): Promise<void> {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    try {
      do {
        this.#again = false;
        const wanted = Math.min(Math.max(this.items?.length ?? 0, PAGE), 200);
        const items = await this.#api.conversations({ limit: wanted }, this.#reading.signal);
        // It may be from before what made us ask again.
        if (this.#again) continue;
        this.hasMore = items.length === wanted;
        this.items = items;
        this.failed = null;
      } while (this.#again);
    } catch (error) {
      this.failed = error instanceof Unreachable ? "unreachable" : "failed";
    } finally {
      this.#busy = false;
    }
  }

  async more(): Promise<void> {
    const last = this.items?.at(-1);
    if (!last || this.#busy) return;
    this.#busy = true;
    try {
      const items = await this.#api.conversations(
        { before: last.last_turn_id, limit: PAGE },
        this.#reading.signal,
      );
      this.hasMore = items.length === PAGE;
      this.items = [...(this.items ?? []), ...items];
    } catch {
      // The button is still there.
    } finally {
      this.#busy = false;
    }
    if (this.#again) await this.refresh();
  }

  /** Searches titles at once among those that are here, and titles and texts on the server. */
  searchFor(text: string): void {
    this.search = text;
    this.#searching.abort();
    clearTimeout(this.#typing);
    this.searching = false;
    const wanted = text.trim();
    if (wanted === "") {
      this.found = null;
      return;
    }
    const folded = wanted.toLocaleLowerCase();
    this.found = (this.items ?? []).filter((item) => item.title.toLocaleLowerCase().includes(folded));
    this.#searching = new AbortController();
    const { signal } = this.#searching;
    this.searching = true;
    this.#typing = setTimeout(() => void this.#ask(wanted, signal), TYPING);
  }

  rename(renamed: Conversation): void {
    this.#again = this.#busy;
    const put = (items: readonly Conversation[] | null) =>
      items?.map((item) => (item.session_id === renamed.session_id ? renamed : item)) ?? null;
    this.items = put(this.items);
    this.found = put(this.found);
  }

  drop(sessionId: string): void {
    this.#again = this.#busy;
    const without = (items: readonly Conversation[] | null) =>
      items?.filter((item) => item.session_id !== sessionId) ?? null;
    this.items = without(this.items);
    this.found = without(this.found);
  }

  titleOf(sessionId: string): string {
    const all = [...(this.items ?? []), ...(this.found ?? [])];
    return all.find((item) => item.session_id === sessionId)?.title ?? "";
  }

  async #ask(search: string, signal: AbortSignal): Promise<void> {
    try {
      const there = await this.#api.conversations({ search, limit: PAGE }, signal);
      if (signal.aborted) return;
      const ids = new Set(there.map((item) => item.session_id));
      const here = (this.found ?? []).filter((item) => !ids.has(item.session_id));
      this.found = [...there, ...here].sort((a, b) => (a.last_turn_id < b.last_turn_id ? 1 : -1));
    } catch {
      // What was found among those that are here stays.
    } finally {
      if (!signal.aborted) this.searching = false;
    }
  }
}
