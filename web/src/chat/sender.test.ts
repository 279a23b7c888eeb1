import { afterEach, describe, expect, test, vi } from "vitest";
import { ApiError, type Ask, Unreachable } from "../lib/api";
import type { Hindrance } from "../lib/outbox";
import { Browser } from "../lib/stream/testing/browser";
import type { Accepted } from "../lib/wire";
import { type Post, Sender } from "./sender";
import { slow } from "./testing/server";

afterEach(() => vi.useRealTimers());

const message = (text: string): Ask => ({ user_message: text, session_id: "s1", client_turn_id: text });
const accepted: Accepted = { turn_id: "t1", session_id: "s1", sse_url: "", position: 0 };

/** Posts messages, the first ones with these results; `posted` is what arrived. */
function mailbox(...results: (Promise<Accepted> | Error)[]): { post: Post; posted: string[] } {
  const posted: string[] = [];
  const ask = async ({ user_message }: Ask) => {
    posted.push(user_message);
    const result = results.shift();
    if (result instanceof Error) throw result;
    return result ?? accepted;
  };
  return { post: { ask }, posted };
}

/** Hands a message to the sender. */
function send(sender: Sender, post: Post, text: string) {
  const ending = new AbortController();
  const waits: Hindrance[] = [];
  const done = sender.send(post, message(text), {
    signal: ending.signal,
    onWait: (why) => void waits.push(why),
  });
  // A test may look at it later, or never.
  done.catch(() => {});
  return { done, waits, giveUp: () => ending.abort() };
}

describe("messages of one page", () => {
  test("go out one after the other", async () => {
    const first = slow<Accepted>();
    const { post, posted } = mailbox(first.promise);
    const sender = new Sender("ada");
    const sent = ["a", "b", "c"].map((text) => send(sender, post, text));
    await vi.waitFor(() => expect(posted).toEqual(["a"]));
    first.resolve(accepted);
    await Promise.all(sent.map(({ done }) => done));
    expect(posted).toEqual(["a", "b", "c"]);
  });

  test("wait behind one that waits, and say the same of it", async () => {
    vi.useFakeTimers();
    const { post, posted } = mailbox(new Unreachable());
    const sender = new Sender("ada");
    const [first, second] = [send(sender, post, "a"), send(sender, post, "b")];
    await vi.advanceTimersByTimeAsync(0);
    expect([first.waits, second.waits]).toEqual([["offline"], ["offline"]]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(posted).toEqual(["a", "a", "b"]);
    const third = send(sender, post, "c");
    await third.done;
    expect([first.waits, second.waits, third.waits]).toEqual([["offline"], ["offline"], []]);
  });

  test("are not held up by one that is refused or given up", async () => {
    vi.useFakeTimers();
    const { post, posted } = mailbox(new ApiError(413, "message_too_large", "", false), new Unreachable());
    const sender = new Sender("ada");
    const refused = send(sender, post, "refused");
    const waiting = send(sender, post, "waiting");
    const never = send(sender, post, "never");
    const last = send(sender, post, "last");
    await expect(refused.done).rejects.toThrow(ApiError);
    never.giveUp();
    await vi.advanceTimersByTimeAsync(0);
    waiting.giveUp();
    await expect(waiting.done).rejects.toThrow();
    await expect(never.done).rejects.toThrow();
    expect(await last.done).toBe(accepted);
    expect(posted).toEqual(["refused", "waiting", "last"]);
  });
});

describe("tabs of one browser", () => {
  /** A sender in a tab of its own. */
  function tab(browser: Browser, user: string): { sender: Sender; use: () => void } {
    const { locks } = browser.open().shared;
    return { sender: new Sender(user), use: () => vi.stubGlobal("navigator", { locks }) };
  }
  afterEach(() => vi.unstubAllGlobals());

  test("take turns where they belong to one user, and only then", async () => {
    const browser = new Browser();
    const [one, two, foreign] = [tab(browser, "ada"), tab(browser, "ada"), tab(browser, "bob")];
    const answer = slow<Accepted>();
    const { post, posted } = mailbox(answer.promise);
    one.use();
    const first = send(one.sender, post, "first");
    await vi.waitFor(() => expect(posted).toEqual(["first"]));
    two.use();
    const second = send(two.sender, post, "second");
    await Promise.resolve();
    foreign.use();
    await send(foreign.sender, post, "somebody else's").done;
    expect(posted).toEqual(["first", "somebody else's"]);
    answer.resolve(accepted);
    await Promise.all([first.done, second.done]);
    expect(posted).toEqual(["first", "somebody else's", "second"]);
  });
});
