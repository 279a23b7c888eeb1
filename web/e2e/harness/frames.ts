/** Measures in the page how long its frames take. */

import type { Page } from "playwright-core";

export interface Frames {
  count: number;
  /** All in milliseconds. */
  p50: number;
  p95: number;
  p99: number;
  longest: number;
  /** Of frames that took over 50 ms, from 0 to 1. */
  slow: number;
}

/** Scrolls an element by `step` pixels a frame until it goes no further, and measures every frame. */
export async function scrollThrough(page: Page, selector: string, step: number): Promise<Frames> {
  const times = await page.evaluate(
    ([wanted, by]) =>
      new Promise<number[]>((measured) => {
        const scroller = document.querySelector(wanted)!;
        const taken: number[] = [];
        let before: number | null = null;
        let still = 0;
        requestAnimationFrame(function frame(now) {
          if (before !== null) taken.push(now - before);
          before = now;
          const place = scroller.scrollTop;
          scroller.scrollTop += by;
          // Heights that were guessed become known on the way: the end is where nothing moves any more.
          still = scroller.scrollTop === place ? still + 1 : 0;
          if (still < 3) requestAnimationFrame(frame);
          else measured(taken);
        });
      }),
    [selector, step] as const,
  );
  return summary(times);
}

/** Begins to measure every frame; gives what it saw until it is called. */
export async function measure(page: Page): Promise<() => Promise<Frames>> {
  await page.evaluate(() => {
    const measuring = { times: [] as number[], on: true };
    let before: number | null = null;
    requestAnimationFrame(function frame(now) {
      if (before !== null) measuring.times.push(now - before);
      before = now;
      if (measuring.on) requestAnimationFrame(frame);
    });
    Object.assign(window, { measuring });
  });
  return async () =>
    summary(
      await page.evaluate(() => {
        const { measuring } = window as unknown as { measuring: { times: number[]; on: boolean } };
        measuring.on = false;
        return measuring.times;
      }),
    );
}

/** Writes lines into an empty page, a piece each frame, as plain text; measures every frame. */
export async function writeThrough(page: Page, lines: number, frames: number): Promise<Frames> {
  await page.setContent(`<!doctype html><meta charset="utf-8"><pre></pre>`);
  const measured = await measure(page);
  await page.evaluate(
    ([count, steps]) =>
      new Promise<void>((written) => {
        const place = document.querySelector("pre")!;
        const all = Array.from({ length: count }, (_, at) => `line ${at + 1}\n`);
        let step = 0;
        requestAnimationFrame(function frame() {
          step += 1;
          place.textContent = all.slice(0, Math.ceil((count * step) / steps)).join("");
          scrollTo(0, place.scrollHeight);
          if (step < steps) requestAnimationFrame(frame);
          else written();
        });
      }),
    [lines, frames] as const,
  );
  return measured();
}

/** In words, for the report. */
export function told(name: string, { count, p50, p95, p99, longest, slow }: Frames): string {
  const ms = [p50, p95, p99, longest].map((value) => value.toFixed(1)).join(" / ");
  return `${name}: ${count} frames, p50/p95/p99/longest ${ms} ms, ${(slow * 100).toFixed(1)} % over 50 ms`;
}

function summary(times: number[]): Frames {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return {
    count: sorted.length,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    longest: sorted.at(-1) ?? 0,
    slow: sorted.filter((time) => time > 50).length / Math.max(1, sorted.length),
  };
}
