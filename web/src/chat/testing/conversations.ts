/** Conversations with a server in the same process. Tests that use it replace lib/stream/share. */

import { afterEach, beforeEach, type Mock, vi } from "vitest";
import { Outbox } from "../../lib/outbox";
import type { TurnRow } from "../../lib/wire";
import { Conversation } from "../conversation.svelte";
import { Sender } from "../sender";
import type { Services } from "../services";
import type { TurnCell } from "../turn.svelte";
import { at, row, SESSION } from "./rows";
import { Server } from "./server";
import { forgetStreams } from "./streams";

type Told = "tell" | "listChanged" | "happened" | "trouble";

export let server: Server;
export let outbox: Outbox;
let sender: Sender;
/** Whether the page's user is still the one who is signed in. */
export let isSameUser: Mock<Services["isSameUser"]>;
/** What the page around it was told. */
export let page: { [Name in Told]: Mock<Services[Name]> };
let begun: Conversation[] = [];

/** Each test has a server of its own, and a clock that it moves. It is 100 s after the midnight of `at`. */
export function useConversations(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse(at(100)) });
    localStorage.clear();
    forgetStreams();
    server = new Server();
    outbox = new Outbox(localStorage, "ada@example.org");
    sender = new Sender("ada@example.org");
    isSameUser = vi.fn(async () => true);
    page = { tell: vi.fn(), listChanged: vi.fn(), happened: vi.fn(), trouble: vi.fn() };
  });
  afterEach(() => {
    for (const conversation of begun.splice(0)) conversation.close();
    vi.useRealTimers();
  });
}

/** The conversation of `SESSION`; `isNew` is one that nobody has asked anything in. */
export function begin({ isNew = false } = {}): Conversation {
  const services = { api: server.api, outbox, sender, isSameUser, ...page };
  const conversation = new Conversation(services, SESSION, !isNew);
  begun.push(conversation);
  return conversation;
}

/** Lets everything happen that waits for nothing but other promises. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

/** The conversation with these turns. */
export async function loaded(...rows: TurnRow[]): Promise<Conversation> {
  server.rows = rows;
  const conversation = begin();
  await settle();
  return conversation;
}

/** Where each turn stands, and its question. */
export function shown(conversation: Conversation): string[] {
  return conversation.cells.map(({ view }) => `${view.phase}: ${view.message}`);
}

/** The turn at this place; from the end where it is negative. */
export function cellAt(conversation: Conversation, index: number): TurnCell {
  const cell = conversation.cells.at(index);
  if (!cell) throw new Error(`no turn at ${index}`);
  return cell;
}

/** Answered turns, from one number to another. */
export function rows(from: number, to: number): TurnRow[] {
  return Array.from({ length: to - from + 1 }, (_, offset) => row(from + offset));
}
