/** The state of a page, with a server in the same process. Tests that use it replace lib/stream/share and ../tabs. */

import { afterEach, beforeEach, vi } from "vitest";
import { chooseLanguage } from "../../lib/i18n/index.svelte";
import type { TurnRow } from "../../lib/wire";
import { Chat } from "../chat.svelte";
import { at, SESSION } from "./rows";
import { Server } from "./server";
import { forgetStreams } from "./streams";
import { told } from "./tabs";

export let server: Server;
export let chat: Chat;

/** Each test has a page of its own, and a clock that it moves. It is 100 s after the midnight of `at`. */
export function useChat(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse(at(100)) });
    chooseLanguage("en");
    localStorage.clear();
    forgetStreams();
    told.length = 0;
    server = new Server();
    chat = new Chat(server.api);
  });
  afterEach(async () => {
    chat.stop();
    history.replaceState(null, "", location.pathname);
    await settle();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}

/** Lets everything happen that waits for nothing but other promises, and the browser tell of a new address. */
export async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(1);
}

/** The page begins, at this address. */
export async function started(hash = ""): Promise<void> {
  history.replaceState(null, "", location.pathname + hash);
  chat.start();
  await settle();
}

/** The conversation of `SESSION` is open, with these turns. */
export async function showing(...rows: TurnRow[]): Promise<void> {
  server.rows = rows;
  await started(`#${SESSION}`);
}
