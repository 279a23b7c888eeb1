/** Waiting for the clock, the network, and the person who looks at the page. All of it can be aborted. */

/** What ended a wait. */
export type Woken = "time" | "online" | "visible" | "aborted";

/** Resolves after `ms` milliseconds; rejects with the signal's reason when aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, signal, false);
  signal.throwIfAborted();
}

/**
 * Resolves when there is reason to think that the server can be reached again: the browser came online, or the page
 * became visible. Rejects with the signal's reason when aborted.
 */
export async function reachable(signal: AbortSignal): Promise<void> {
  await wait(null, signal, true);
  signal.throwIfAborted();
}

/** Like `pause`, but ends early as `reachable` does; tells which it was, and never rejects. */
export function pauseOrReachable(ms: number, signal: AbortSignal): Promise<Woken> {
  return wait(ms, signal, true);
}

/** Calls back whenever the browser comes online or the page becomes visible, until the signal is aborted. */
export function onReachable(signal: AbortSignal, call: (why: "online" | "visible") => void): void {
  // Neither exists outside of pages: in workers there is no document, in Node nothing of this.
  if (typeof globalThis.addEventListener === "function") {
    globalThis.addEventListener("online", () => call("online"), { signal });
  }
  if (typeof document !== "undefined") {
    const look = () => {
      if (document.visibilityState === "visible") call("visible");
    };
    document.addEventListener("visibilitychange", look, { signal });
  }
}

/**
 * Whether the browser says that there is no network between it and `url`. It knows nothing about a server on this very
 * machine, which is there without any network.
 */
export function isOffline(url: string): boolean {
  if (typeof navigator === "undefined" || navigator.onLine !== false) return false;
  return !isLoopback(
    new URL(url, typeof location === "undefined" ? "http://localhost" : location.href).hostname,
  );
}

function isLoopback(host: string): boolean {
  return (
    host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d+){3}$/.test(host)
  );
}

/**
 * A signal that is aborted with the first of these, and how to let go of them: what is bound to a signal that lives as
 * long as the page would never be freed. (`AbortSignal.any` is younger than the browsers that we support.)
 */
export function anyOf(...signals: AbortSignal[]): { signal: AbortSignal; abort(): void } {
  const controller = new AbortController();
  const abort = () => {
    for (const signal of signals) signal.removeEventListener("abort", abort);
    controller.abort();
  };
  for (const signal of signals) {
    signal.addEventListener("abort", abort);
  }
  if (signals.some((signal) => signal.aborted)) abort();
  return { signal: controller.signal, abort };
}

function wait(ms: number | null, signal: AbortSignal, early: boolean): Promise<Woken> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve("aborted");
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (why: Woken) => {
      clearTimeout(timer);
      over.abort();
      resolve(why);
    };
    if (ms !== null) timer = setTimeout(() => end("time"), ms);
    signal.addEventListener("abort", () => end("aborted"), { signal: over.signal });
    if (early) onReachable(over.signal, end);
  });
}
