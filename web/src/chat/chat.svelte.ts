/** The page's state: who is signed in, which conversation is open, and what the agent and the connection do. */

import { SvelteMap } from "svelte/reactivity";
import { Api, ApiError, Unreachable } from "../lib/api";
import { uuid } from "../lib/ids";
import { m } from "../lib/i18n/index.svelte";
import { Outbox } from "../lib/outbox";
import { isAway } from "../lib/problem";
import { isOpen, type TurnView } from "../lib/turn";
import { anyOf, isOffline, pauseOrReachable } from "../lib/wait";
import type { AgentSession, Status } from "../lib/wire";
import { Conversation } from "./conversation.svelte";
import { Drafts } from "./drafts";
import { ConversationList } from "./list.svelte";
import { LONG, notify } from "./notify";
import { Sender } from "./sender";
import type { Services } from "./services";
import { announceUser, openTabs, type TabNews, type Tabs } from "./tabs";
import type { TurnCell } from "./turn.svelte";

/** What keeps the whole page from working. */
export type Trouble = null | "unreachable" | "signed-out" | "not-allowed";

/** `remembers` and `told` say that it runs again: with its memory, or without. */
export type AfterExit = "remembers" | "told" | "ended" | "crash_loop";

/** The agent's program ended: shown between the turns. */
export interface Exit {
  at: string;
  reason: string;
  /** What has become of the agent since. */
  then: AfterExit;
  /** The conversation whose own agent it was; `null` where all share one. */
  sessionId: string | null;
}

/** Wait between two tries to reach a server that does not answer, in milliseconds. */
const TRY_AGAIN = 5_000;
const SESSION = /^#([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export class Chat {
  status: Status | null = $state.raw(null);
  trouble: Trouble = $state(null);
  /** What the browser says of its network. */
  #hasNetwork = $state(navigator.onLine);
  conversation: Conversation | null = $state.raw(null);
  exits: readonly Exit[] = $state.raw([]);
  /** Said to screen readers: see `announce`. */
  announcement = $state("");
  readonly api: Api;
  readonly list: ConversationList;
  drafts: Drafts = new Drafts("");
  #services: Services | null = null;
  #tabs: Tabs | null = null;
  /** Conversations in which something runs stay open when another one is looked at. */
  readonly #background = new SvelteMap<string, Conversation>();
  /** As one text: it is the same as long as the conversations are. */
  readonly #askingIds = $derived(
    [this.conversation, ...this.#background.values()]
      .flatMap((opened) => (opened?.asking ? [opened.sessionId] : []))
      .join(" "),
  );
  /** Conversations in which the agent waits for the reader. */
  readonly asking: ReadonlySet<string> = $derived(new Set(this.#askingIds.split(" ").filter(Boolean)));
  readonly #ending = new AbortController();
  #reaching = false;
  /** Whose page this is; `null` until the server told. */
  #user: string | null = null;
  /** When the server answered last, in milliseconds since 1970. */
  #reachedAt = 0;
  /** Ends the wait between two tries. */
  #hurry: () => void = () => {};

  constructor(api: Api = new Api()) {
    this.api = api;
    this.list = new ConversationList(api);
  }

  /** There is no network, and the server is not on this very machine. */
  get offline(): boolean {
    return !this.#hasNetwork && (this.trouble === "unreachable" || isOffline(location.href));
  }

  /** Begins: signs in, opens what the address names, and listens to the browser. */
  start(): void {
    const { signal } = this.#ending;
    addEventListener("hashchange", () => this.#route(), { signal });
    addEventListener("online", () => this.#look(), { signal });
    addEventListener("offline", () => this.#look(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#look(), { signal });
    void this.#reach({ atOnce: true });
  }

  stop(): void {
    this.#ending.abort();
    this.#tabs?.close();
    this.conversation?.close();
    for (const other of this.#background.values()) other.close();
  }

  /** Begins a conversation; it gets its address with the first question. */
  begin(): void {
    if (location.hash !== "") history.pushState(null, "", location.pathname + location.search);
    this.#open(uuid(), false);
  }

  show(sessionId: string): void {
    if (this.conversation?.sessionId === sessionId) return;
    location.hash = sessionId;
  }

  ask(message: string): void {
    const { conversation } = this;
    if (!conversation) return;
    if (conversation.standing === "new" || conversation.standing === "missing") {
      history.replaceState(null, "", `#${conversation.sessionId}`);
    }
    conversation.ask(message);
  }

  /** Gives up a message that was not sent; what nobody asked anything in has no address. */
  discard(cell: TurnCell): void {
    this.conversation?.discard(cell);
    if (this.conversation?.standing === "new") {
      history.replaceState(null, "", location.pathname + location.search);
    }
  }

  async rename(sessionId: string, title: string): Promise<void> {
    this.list.rename(await this.api.rename(sessionId, title));
    this.#tabs?.tell({ kind: "conversations" });
  }

  async remove(sessionId: string): Promise<void> {
    await this.api.remove(sessionId);
    this.#removed(sessionId);
    this.#tabs?.tell({ kind: "deleted", sessionId });
  }

  async restartAgent(): Promise<void> {
    await this.api.reset(this.conversation?.sessionId);
    await this.readStatus();
    await this.conversation?.refresh();
  }

  /** Ends this browser's sign-in. What the server answers to the next look at this page tells how to come back. */
  async signOut(): Promise<void> {
    await this.api.signOut();
    location.reload();
  }

  /** Says something to screen readers, which pass over a text that does not change. */
  announce(text: string): void {
    this.announcement = this.announcement === text ? `${text}\u00a0` : text;
  }

  /** Tries at once what waits for the server. */
  tryNow(): void {
    this.#look();
  }

  async readStatus(): Promise<void> {
    try {
      const sessionId = this.conversation?.sessionId;
      const status = await this.api.status(sessionId, this.#ending.signal);
      if (this.#user !== null && this.#user !== status.user.email) return this.#anotherUser();
      this.trouble = null;
      this.#learnExit(status.agent_session, hasOwnAgents(status) ? (sessionId ?? null) : null);
      this.status = status;
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#inTrouble(error);
    }
  }

  /** Goes on until the server answers, or says that there is nothing for us. */
  async #reach({ atOnce }: { atOnce: boolean }): Promise<void> {
    if (this.#reaching) return;
    this.#reaching = true;
    try {
      // Where one request fails while others succeed, we would ask without a pause.
      if (!atOnce && Date.now() - this.#reachedAt < TRY_AGAIN) await this.#rest();
      for (;;) {
        await this.readStatus();
        if (this.status !== null && this.trouble === null) return this.#reached();
        if (this.trouble !== "unreachable") return;
        await this.#rest();
      }
    } catch (error) {
      // Else the page is gone.
      if (!this.#ending.signal.aborted) throw error;
    } finally {
      this.#reaching = false;
    }
  }

  /** Waits until it is time to try again, or somebody or something gives reason to. */
  async #rest(): Promise<void> {
    const rest = anyOf(this.#ending.signal);
    this.#hurry = rest.abort;
    await pauseOrReachable(TRY_AGAIN, rest.signal);
    rest.abort();
    this.#ending.signal.throwIfAborted();
  }

  /** Somebody else has signed in: nothing of this page is theirs to see, and nothing of it is asked in their name. */
  #anotherUser(): void {
    this.stop();
    location.reload();
  }

  async #isSameUser(): Promise<boolean> {
    const status = await this.api.status(undefined, this.#ending.signal);
    if (status.user.email === this.#user) return true;
    this.#anotherUser();
    return false;
  }

  #reached(): void {
    this.#reachedAt = Date.now();
    const status = this.status;
    if (this.#services === null && status !== null) {
      const user = status.user.email;
      this.#user = user;
      announceUser(user, this.#ending.signal, () => this.#anotherUser());
      this.drafts = new Drafts(user);
      this.#tabs = openTabs(user, (news) => this.#hear(news));
      this.#services = {
        api: this.api,
        outbox: new Outbox(storage(), user),
        sender: new Sender(user),
        isSameUser: () => this.#isSameUser(),
        tell: (news) => this.#tabs?.tell(news),
        listChanged: () => {
          void this.list.refresh();
          this.#tabs?.tell({ kind: "conversations" });
        },
        happened: (conversation, cell, before) => this.#happened(conversation, cell, before),
        trouble: (error) => this.#inTrouble(error),
      };
      this.#route();
    } else {
      void this.conversation?.refresh();
      for (const other of this.#background.values()) void other.refresh();
    }
    // Messages that another page wrote and did not get rid of.
    for (const { session_id } of this.#services?.outbox.all() ?? []) this.#openBehind(session_id);
    void this.list.refresh();
  }

  /** Looks at everything anew: the reader or the connection is back. */
  #look(): void {
    this.#hasNetwork = navigator.onLine;
    if (document.hidden) return;
    this.#hurry();
    void this.#reach({ atOnce: true });
  }

  #route(): void {
    if (this.#services === null) return;
    const sessionId = SESSION.exec(location.hash)?.[1];
    if (sessionId === undefined) this.#open(uuid(), false);
    else if (this.conversation?.sessionId !== sessionId) this.#open(sessionId, true);
  }

  #open(sessionId: string, begun: boolean): void {
    if (this.#services === null) return;
    const before = this.conversation;
    if (before?.isBusy) this.#background.set(before.sessionId, before);
    else before?.close();
    const known = this.#background.get(sessionId);
    this.#background.delete(sessionId);
    this.conversation = known ?? new Conversation(this.#services, sessionId, begun);
    if (known) {
      // What was answered while nobody looked is not typed out.
      for (const cell of known.cells) cell.watched = false;
      void known.refresh();
    }
    // What was told of the agent was not of this one.
    if (begun && this.status !== null && hasOwnAgents(this.status)) void this.readStatus();
  }

  #openBehind(sessionId: string): void {
    if (this.#services === null || this.#opened(sessionId)) return;
    this.#background.set(sessionId, new Conversation(this.#services, sessionId, true));
  }

  #hear(news: TabNews): void {
    switch (news.kind) {
      case "conversations":
        void this.list.refresh();
        break;
      case "deleted":
        this.#removed(news.sessionId);
        break;
      case "turn":
        void this.#opened(news.sessionId)?.learn(news.turnId);
        void this.list.refresh();
        break;
      case "recovery":
        this.#opened(news.sessionId)?.recoveredElsewhere(news.answer);
        break;
      case "answered":
        for (const opened of [this.conversation, ...this.#background.values()]) {
          opened?.answeredElsewhere(news.turnId, news.number);
        }
        break;
    }
  }

  #opened(sessionId: string): Conversation | undefined {
    return this.conversation?.sessionId === sessionId ? this.conversation : this.#background.get(sessionId);
  }

  #removed(sessionId: string): void {
    this.list.drop(sessionId);
    this.drafts.write(sessionId, "");
    this.#background.get(sessionId)?.close();
    this.#background.delete(sessionId);
    if (this.conversation?.sessionId === sessionId) {
      this.conversation.close();
      this.conversation = null;
      history.replaceState(null, "", location.pathname + location.search);
      this.#open(uuid(), false);
    }
  }

  #happened(conversation: Conversation, cell: TurnCell, before: TurnView): void {
    const { view } = cell;
    const url = `/paliadin#${conversation.sessionId}`;
    const title = this.list.titleOf(conversation.sessionId) || view.message.slice(0, 80);
    const asked = before.attention ?? before.askedBefore;
    if (view.attention && view.attention.number !== asked?.number) {
      this.announce(`${m().attentionQuestion}: ${view.attention.prompt}`);
      void notify(m().notifyAsks, view.attention.prompt.slice(0, 200), cell.view.key, url);
    }
    if (before.phase !== view.phase && (view.phase === "working" || view.phase === "answering")) {
      if (before.phase === "queued" || before.phase === "starting") void this.readStatus();
    }
    if (isOpen(before) && !isOpen(view)) {
      this.announce(conversation === this.conversation ? endOf(view) : `${title}: ${endOf(view)}`);
      if (Date.now() - Date.parse(view.askedAt) >= LONG && view.phase !== "cancelled") {
        const headline = view.phase === "done" ? m().notifyTitle : m().notifyFailed;
        void notify(headline, title, cell.view.key, url);
      }
      void this.readStatus();
      this.#services?.listChanged();
      if (conversation !== this.conversation && !conversation.isBusy) {
        conversation.close();
        this.#background.delete(conversation.sessionId);
      }
    }
  }

  #learnExit(session: AgentSession | null, sessionId: string | null): void {
    const exit = session?.last_exit;
    if (!exit) return;
    const learnt: Exit = { ...exit, then: afterExit(session), sessionId };
    const isOther = (known: Exit) => known.at !== exit.at || known.sessionId !== sessionId;
    this.exits = [...this.exits.filter(isOther), learnt];
  }

  #inTrouble(error: unknown): void {
    const refusal = error instanceof ApiError ? error : null;
    if (refusal?.status === 401) {
      this.trouble = "signed-out";
    } else if (refusal?.status === 404 && this.status === null) {
      this.trouble = "not-allowed";
    } else if (error instanceof Unreachable || isAway(refusal) || this.status === null) {
      this.trouble = "unreachable";
      void this.#reach({ atOnce: false });
    }
  }
}

/** Whether each conversation has an agent of its own. */
export function hasOwnAgents(status: Status): boolean {
  return status.session_scope === "conversation";
}

function afterExit({ agent, agent_alive, last_start }: AgentSession): AfterExit {
  if (agent_alive) return last_start?.resumed ? "remembers" : "told";
  return agent === "crash_loop" ? "crash_loop" : "ended";
}

/** How a turn ended, in a few words. */
function endOf(view: TurnView): string {
  if (view.phase === "done") return m().done;
  if (view.phase === "cancelled") return m().stopped;
  return (m().errors[view.error?.code ?? "unknown"] ?? m().errors.unknown)?.[0] ?? "";
}

/** `null` where the reader's browser allows none. */
function storage(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}
