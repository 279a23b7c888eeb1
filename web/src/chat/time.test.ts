import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { chooseLanguage } from "../lib/i18n/index.svelte";
import { age, clock, duration } from "./time";

const zone = process.env["TZ"];
beforeAll(() => {
  // It changes its clocks: a day has 23 or 25 hours twice a year.
  process.env["TZ"] = "Europe/Berlin";
});
afterAll(() => {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
});
afterEach(() => chooseLanguage("auto"));

/** `Intl` may put a narrow or unbreakable space. */
const plain = (text: string) => text.replaceAll(/\s/g, " ");

describe("the clock", () => {
  const now = new Date("2026-11-21T20:00:00+01:00");

  test.each([
    ["en", "2026-11-21T14:03:00+01:00", "2:03 PM"],
    ["de", "2026-11-21T14:03:00+01:00", "14:03"],
    ["en", "2026-11-20T14:03:00+01:00", "Nov 20, 2026, 2:03 PM"],
    ["de", "2026-11-20T14:03:00+01:00", "20.11.2026, 14:03"],
    // Today here, and yesterday in UTC.
    ["de", "2026-11-20T23:30:00Z", "00:30"],
  ] as const)("in %s, %s is %s", (language, moment, shown) => {
    chooseLanguage(language);
    expect(plain(clock(moment, now))).toBe(shown);
  });

  test("measures by the moment it is asked, where nobody says another", () => {
    chooseLanguage("de");
    expect(clock(new Date().toISOString())).toMatch(/^\d\d:\d\d$/);
  });
});

test.each([
  [0, "0 s", "0 s"],
  [40, "0 s", "0 s"],
  [400, "0.4 s", "0,4 s"],
  [1_000, "1 s", "1 s"],
  [9_949, "9.9 s", "9,9 s"],
  [9_999, "10 s", "10 s"],
  [10_000, "10 s", "10 s"],
  [59_499, "59 s", "59 s"],
  [59_500, "1 min", "1 min"],
  [60_000, "1 min", "1 min"],
  [185_000, "3 min 5 s", "3 min 5 s"],
  [3_600_000, "60 min", "60 min"],
  [75_600_000, "1,260 min", "1.260 min"],
])("%i ms are %s, in German %s", (ms, english, german) => {
  chooseLanguage("en");
  expect(duration(ms)).toBe(english);
  chooseLanguage("de");
  expect(duration(ms)).toBe(german);
});

test.each([
  ["2026-11-21T00:00:00+01:00", "today"],
  ["2026-11-21T20:00:00+01:00", "today"],
  // A server's clock may be ahead of ours.
  ["2026-11-22T03:00:00+01:00", "today"],
  ["2026-11-20T23:59:59+01:00", "yesterday"],
  ["2026-11-20T00:00:00+01:00", "yesterday"],
  ["2026-11-19T23:59:59+01:00", "lastWeek"],
  ["2026-11-14T00:00:00+01:00", "lastWeek"],
  ["2026-11-13T23:59:59+01:00", "older"],
  ["2020-01-01T00:00:00Z", "older"],
] as const)("on 21 November, %s is %s", (moment, said) => {
  expect(age(moment, new Date("2026-11-21T20:00:00+01:00"))).toBe(said);
});

test.each([
  ["2026-10-25T00:30:00+02:00", "2026-10-26T12:00:00+01:00", "yesterday"],
  ["2026-10-24T23:30:00+02:00", "2026-10-26T12:00:00+01:00", "lastWeek"],
  ["2026-03-29T00:30:00+01:00", "2026-03-30T12:00:00+02:00", "yesterday"],
  ["2026-03-28T23:30:00+01:00", "2026-03-30T12:00:00+02:00", "lastWeek"],
] as const)("clocks are changed in between: %s is, at %s, %s", (moment, now, said) => {
  expect(age(moment, new Date(now))).toBe(said);
});
