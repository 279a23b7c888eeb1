/** What tests make of the browser around the page. */

import { onTestFinished } from "vitest";

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
