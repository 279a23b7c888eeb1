/** What a page showed, taken down in the page itself: from outside one would miss what was there only for a moment. */

import type { Page } from "playwright-core";

/** Takes down every text that elements of this selector had, from now on. */
export async function record(page: Page, selector: string): Promise<() => Promise<string[]>> {
  await page.evaluate((wanted) => {
    const texts: string[] = [];
    const look = () => {
      for (const element of document.querySelectorAll(wanted)) {
        const text = element.textContent ?? "";
        if (text !== "" && texts.at(-1) !== text) texts.push(text);
      }
    };
    new MutationObserver(look).observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
    });
    look();
    Object.assign(window, { recorded: { ...(window as Recording).recorded, [wanted]: texts } });
  }, selector);
  return () => page.evaluate((wanted) => (window as Recording).recorded?.[wanted] ?? [], selector);
}

type Recording = Window & { recorded?: Record<string, string[]> };
