/** What tests make of the browser around the page. */

import { cleanup } from "@testing-library/svelte";
import { afterEach, beforeEach, onTestFinished, vi } from "vitest";
import { chooseLanguage } from "../../lib/i18n/index.svelte";

export const COARSE = "(pointer: coarse)";
export const REDUCED = "(prefers-reduced-motion: reduce)";

/** Media queries that hold now. */
const holding = new Set<string>();

/** From here to the end of the test this media query holds. */
export function holds(query: string): void {
  holding.add(query);
}

/**
 * For each test: an English page without anything on it, an empty storage, and what jsdom has not. Dialogs open and close without keeping the
 * focus; nothing has a size, so nothing ever changes it.
 */
export function usePage(): void {
  beforeEach(() => {
    chooseLanguage("en");
    localStorage.clear();
    vi.stubGlobal("matchMedia", (media: string) => ({ matches: holding.has(media), media }));
    vi.stubGlobal("ResizeObserver", Observer);
    vi.stubGlobal("IntersectionObserver", Observer);
    HTMLDialogElement.prototype.showModal = function () {
      this.open = true;
    };
    HTMLDialogElement.prototype.close = function () {
      if (!this.open) return;
      this.open = false;
      setTimeout(() => this.dispatchEvent(new Event("close")));
    };
  });
  afterEach(() => {
    cleanup();
    holding.clear();
    chooseLanguage("auto");
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
}

class Observer {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

/** For the rest of a test, storage is as it is where the reader blocks it: whoever touches it gets an error. */
export function refuseStorage(): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    get: () => {
      throw new DOMException("storage is blocked", "SecurityError");
    },
  });
  onTestFinished(() => {
    if (before) Object.defineProperty(globalThis, "localStorage", before);
  });
}

/** The page is hidden, or seen again. */
export function hide(hidden: boolean): void {
  vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
  document.dispatchEvent(new Event("visibilitychange"));
}
