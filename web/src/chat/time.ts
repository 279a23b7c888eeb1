/** Moments and durations as people say them. */

import { language } from "../lib/i18n/index.svelte";

/** `14:03`; with the day where it is another one than today. */
export function clock(moment: string, now = new Date()): string {
  const date = new Date(moment);
  const today = date.toDateString() === now.toDateString();
  const options: Intl.DateTimeFormatOptions = today
    ? { timeStyle: "short" }
    : { dateStyle: "medium", timeStyle: "short" };
  return new Intl.DateTimeFormat(language(), options).format(date);
}

/** `0.4 s`, `12 s`, `3 min 5 s`. */
export function duration(ms: number): string {
  const number = (value: number, digits = 0) =>
    new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
  if (ms < 10_000) return `${number(ms / 1000, 1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${number(seconds)} s`;
  const rest = seconds % 60;
  return `${number(Math.floor(seconds / 60))} min${rest ? ` ${number(rest)} s` : ""}`;
}

/** How long ago a day was, in the steps of the list of conversations. */
export function age(moment: string, now = new Date()): "today" | "yesterday" | "lastWeek" | "older" {
  // Days are counted by the calendar: where clocks are changed, one has 23 or 25 hours.
  const midnight = (ago: number) =>
    new Date(now.getFullYear(), now.getMonth(), now.getDate() - ago).getTime();
  const then = Date.parse(moment);
  if (then >= midnight(0)) return "today";
  if (then >= midnight(1)) return "yesterday";
  return then >= midnight(7) ? "lastWeek" : "older";
}
