/** Whether everything on a page has its place: nothing sticks out sideways, nothing is too small to be hit. */

import type { Page } from "playwright-core";

/** What of the page does not fit its width; none where all is well. Tables and code may scroll by themselves. */
export async function sideways(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const wrong: string[] = [];
    const name = (element: Element) => `${element.localName}.${element.getAttribute("class") ?? ""}`;
    const root = document.scrollingElement;
    if (root && root.scrollWidth > innerWidth) wrong.push(`the page is ${root.scrollWidth} px wide`);
    for (const element of document.body.querySelectorAll<HTMLElement>("*")) {
      if (element.closest("[inert], .hidden-text, .skip, .code-said")) continue;
      const { overflowX } = getComputedStyle(element);
      const mayScroll = element.matches(".table, pre code, textarea, input");
      if (/auto|scroll/.test(overflowX) && !mayScroll && element.scrollWidth > element.clientWidth) {
        wrong.push(`${name(element)} scrolls sideways`);
      }
      if (!element.matches("button, a, input, textarea, select, summary") || element.closest(".table"))
        continue;
      if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
      const { left, right, width } = element.getBoundingClientRect();
      if (width > 0 && (left < -0.5 || right > innerWidth + 0.5)) {
        wrong.push(`${name(element)} “${element.textContent?.trim().slice(0, 40)}” sticks out`);
      }
    }
    return wrong;
  });
}

/** What can be pressed and is smaller than 24 by 24 px (WCAG 2.2, 2.5.8). A label is part of its box. Links in a text are as high as its line. */
export async function tooSmall(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const least = 24;
    return [
      ...document.querySelectorAll<HTMLElement>("button, [role=menuitem], select, input, summary, nav a"),
    ]
      .filter((element) => element.checkVisibility() && !element.matches(".veil, li.task input"))
      .map((element) => ({ element, box: (element.closest("label") ?? element).getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0 && (box.width < least - 0.01 || box.height < least - 0.01))
      .map(
        ({ element, box }) =>
          `${element.localName}.${element.className} “${element.textContent?.trim().slice(0, 30)}”: ` +
          `${box.width.toFixed(1)} × ${box.height.toFixed(1)}`,
      );
  });
}

/** Where the focus is, in words; `body` where it is lost. */
export async function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const { activeElement } = document;
    if (!activeElement || activeElement === document.body) return "body";
    const label = activeElement.getAttribute("aria-label") ?? activeElement.textContent?.trim().slice(0, 40);
    return `${activeElement.localName} ${label}`;
  });
}
