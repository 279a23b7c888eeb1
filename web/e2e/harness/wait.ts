/** Waits, each with a deadline. */

import type { Locator } from "playwright-core";

/** Longest wait for anything, in milliseconds; long, for the machine may be busy with other things. */
export const PATIENCE = 45_000;
/** From one look to the next, where nothing tells of a change, in milliseconds. */
const LOOK_AGAIN = 25;

/** Looks until there is something to be seen, for what nobody tells of. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (const deadline = Date.now() + PATIENCE; ;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (Date.now() > deadline) throw new Error(`looked ${PATIENCE} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
  }
}

/** Waits until it is to be seen. */
export async function seen(locator: Locator): Promise<Locator> {
  await locator.waitFor({ state: "visible" });
  return locator;
}

/** Waits until it is not to be seen. */
export async function gone(locator: Locator): Promise<void> {
  await locator.waitFor({ state: "hidden" });
}
