import { expect, test } from "vitest";
import { type Slot, Slots } from "./slots";

const { signal } = new AbortController();

/** Whether a promise is fulfilled already. */
async function given(slot: Promise<Slot>): Promise<boolean> {
  const later = new Promise<null>((resolve) => setTimeout(() => resolve(null), 0));
  return (await Promise.race([slot, later])) !== null;
}

test("there are two; the next one waits for its turn, smallest key first", async () => {
  const slots = new Slots();
  const first = slots.take("1");
  expect(slots.take("2")).not.toBeNull();
  expect(slots.take("3")).toBeNull();
  const fourth = slots.wait("4", signal);
  const third = slots.wait("3", signal);
  first?.release();
  first?.release();
  expect(await given(third)).toBe(true);
  expect(await given(fourth)).toBe(false);
  (await third).release();
  expect(await given(fourth)).toBe(true);
});

test("a smaller key takes the slot of the greatest", () => {
  const slots = new Slots();
  const [fifth, sixth] = [slots.take("5"), slots.take("6")];
  const first = slots.take("1");
  expect(first).not.toBeNull();
  expect(fifth?.lost.aborted).toBe(false);
  expect(sixth?.lost.aborted).toBe(true);
  // What was lost is not given back.
  sixth?.release();
  expect(slots.take("6")).toBeNull();
  expect(slots.take("5")).toBeNull();
});

test("whoever gives up waiting gets none", async () => {
  const slots = new Slots(1);
  const held = slots.take("1");
  const ending = new AbortController();
  const given = slots.wait("2", ending.signal);
  ending.abort();
  await expect(given).rejects.toBe(ending.signal.reason);
  await expect(slots.wait("2", ending.signal)).rejects.toBe(ending.signal.reason);
  held?.release();
  expect(slots.take("3")).not.toBeNull();
});
