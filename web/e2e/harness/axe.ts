/** Looks for what keeps people with disabilities out. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults, RunOptions } from "axe-core";
import type { Page } from "playwright-core";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds on the page as it is now, by all rules or these: a line for each violation. */
export async function violations(page: Page, rules?: readonly string[]): Promise<string[]> {
  await settled(page);
  // By the debugger, which the page's content security policy does not concern.
  await page.evaluate(SOURCE);
  const only: RunOptions["runOnly"] = rules ? { type: "rule", values: [...rules] } : TAGS;
  const results = await page.evaluate(async (runOnly) => {
    const { axe } = window as unknown as { axe: { run(options: RunOptions): Promise<AxeResults> } };
    return axe.run({ runOnly, resultTypes: ["violations"] });
  }, only);
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 200)} (${node.failureSummary ?? ""})`),
  );
}

/** Waits until nothing moves: colours on their way from one to another are no colours to be judged. */
export async function settled(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    const moving = document
      .getAnimations()
      .filter(({ effect }) => effect?.getTiming().iterations !== Infinity);
    await Promise.all(moving.map((animation) => animation.finished.catch(() => {})));
  });
}
