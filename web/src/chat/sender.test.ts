import { expect, test, vi } from "vitest";
import { type Ask, Unreachable } from "../lib/api";
import type { Accepted } from "../lib/wire";
import { Sender } from "./sender";

const ask = (client_turn_id: string): Ask => ({
  user_message: client_turn_id,
  session_id: "s",
  client_turn_id,
});
const signal = () => new AbortController().signal;

/** A server that is away until it is told otherwise, and what it was asked in the end. */
function server(isThere = false) {
  const got: string[] = [];
  const state = { isThere };
  const post = {
    async ask({ client_turn_id }: Ask): Promise<Accepted> {
      // However long each of them is on its way.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
      if (!state.isThere) throw new Unreachable();
      got.push(client_turn_id);
      return { turn_id: client_turn_id, session_id: "s", sse_url: "", position: 0 };
    },
  };
  return { got, state, post };
}

test("messages arrive in the order in which they were written, however long the server is away", async () => {
  vi.useFakeTimers();
  const { got, state, post } = server();
  const sender = new Sender("ada@example.org");
  const names = ["a", "b", "c", "d", "e", "f"];
  const waits = names.map(() => vi.fn());
  const all = names.map((name, at) => sender.send(post, ask(name), { signal: signal(), onWait: waits[at]! }));
  await vi.advanceTimersByTimeAsync(5_000);
  expect(got).toEqual([]);
  for (const wait of waits) expect(wait).toHaveBeenCalledWith("offline", expect.anything());
  state.isThere = true;
  await vi.advanceTimersByTimeAsync(60_000);
  await Promise.all(all);
  expect(got).toEqual(names);
  vi.useRealTimers();
});

test("one that is given up, or refused, does not hold up the others", async () => {
  const { got, post } = server(true);
  const sender = new Sender("ada@example.org");
  const given = new AbortController();
  const onWait = vi.fn();
  const first = sender.send(post, ask("a"), { signal: signal(), onWait });
  const second = sender.send(post, ask("b"), { signal: given.signal, onWait });
  const refused = sender.send({ ask: () => Promise.reject(new Error("no")) }, ask("c"), {
    signal: signal(),
    onWait,
  });
  const last = sender.send(post, ask("d"), { signal: signal(), onWait });
  given.abort();
  await expect(second).rejects.toThrow();
  await expect(refused).rejects.toThrow("no");
  await Promise.all([first, last]);
  expect(got).toEqual(["a", "d"]);
});
