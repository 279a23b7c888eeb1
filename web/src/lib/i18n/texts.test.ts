import { afterEach, describe, expect, test } from "vitest";
import type { ErrorCode } from "../wire";
import { de } from "./de";
import { en } from "./en";
import { chooseLanguage, chosenLanguage, language, languageOf, m } from "./index.svelte";

/** Every code of the protocol; the compiler misses none. */
const CODES: Record<ErrorCode, true> = {
  host_unreachable: true,
  shim_auth_failed: true,
  shim_error: true,
  timeout: true,
  tmux_unavailable: true,
  bootstrap_failed: true,
  agent_died: true,
  agent_crash_loop: true,
  upstream_error: true,
  upstream_silence: true,
  uncertain: true,
  disabled: true,
  cancelled: true,
  session_reset: true,
  queue_full: true,
  message_too_large: true,
  response_too_large: true,
  response_invalid: true,
  store_unavailable: true,
};
/** Refusals of a question that are no turn's codes (docs/protocol.md, section 1), and what the page says itself. */
const REFUSALS = ["unauthenticated", "not_found", "unknown"];

/** Texts that are the same in both languages. */
const SAME = ["agent", "code", "detailAgent"];
/** Texts that may be empty: there is nothing to be done about it. */
const EMPTY = ["errors.cancelled.1"];

type Leaf = string | ((...given: never[]) => string);

/** Every text with its path, such as `errors.timeout.0`. */
function leaves(value: object, path: string[] = []): [path: string, leaf: Leaf][] {
  return Object.entries(value).flatMap(([key, child]: [string, unknown]) => {
    const here = [...path, key];
    if (typeof child === "object" && child !== null) return leaves(child, here);
    return [[here.join("."), child as Leaf] as [string, Leaf]];
  });
}

/** The text, for each of the values that change its words. */
function said(leaf: Leaf): string[] {
  if (typeof leaf === "string") return [leaf];
  const call = leaf as (given: number | string) => string;
  return [0, 1, 2, "text"].map((given) => String(call(given)));
}

const english = new Map(leaves(en));
const german = new Map(leaves(de));

describe("both languages have", () => {
  test("the same texts, with the same parameters", () => {
    expect([...german.keys()].sort()).toEqual([...english.keys()].sort());
    for (const [path, leaf] of english) {
      const other = german.get(path);
      expect(typeof other, path).toBe(typeof leaf);
      if (typeof leaf === "function") expect(other, path).toHaveLength(leaf.length);
    }
  });

  test("no text that is empty, padded, or of something that is not there", () => {
    for (const [path, leaf] of [...english, ...german]) {
      for (const text of said(leaf)) {
        if (!EMPTY.includes(path)) expect(text, path).not.toBe("");
        expect(text, path).toBe(text.trim());
        expect(text, path).not.toMatch(/undefined|null|NaN|\[object|TODO/);
      }
    }
  });

  test("every parameter in the text", () => {
    for (const [path, leaf] of [...english, ...german]) {
      // That of one code counts, and is said in words for 0.
      if (typeof leaf === "function") expect(said(leaf).at(-1), path).toContain("text");
    }
  });

  test("a headline and advice for every code", () => {
    for (const { errors } of [en, de]) {
      for (const code of [...Object.keys(CODES), ...REFUSALS]) {
        expect(errors[code], code).toHaveLength(2);
        expect(errors[code]?.[0], code).toMatch(/\S\.$/);
        if (!EMPTY.includes(`errors.${code}.1`)) expect(errors[code]?.[1], code).toMatch(/\S\.$/);
      }
    }
  });

  test("names of their own for whatever is listed by its name", () => {
    for (const { keys, ...words } of [en, de]) {
      const details = Object.entries(words).filter(([key]) => key.startsWith("detail") && key !== "details");
      for (const names of [details.map(([, name]) => name), Object.values(keys)]) {
        expect(new Set(names).size).toBe(names.length);
      }
    }
  });
});

test("German is not English", () => {
  const same = [...english]
    .filter(([path, leaf]) => {
      const other = german.get(path);
      return other !== undefined && said(leaf).some((text, at) => text !== "" && text === said(other)[at]);
    })
    .map(([path]) => path);
  expect(same).toEqual(SAME);
});

test("counts are spelt as one says them", () => {
  expect([0, 1, 2].map(en.queued)).toEqual([
    "Next in line",
    "1 question before this one",
    "2 questions before this one",
  ]);
  expect([0, 1, 2].map(de.queued)).toEqual([
    "Als Nächstes an der Reihe",
    "Noch 1 Frage davor",
    "Noch 2 Fragen davor",
  ]);
  expect(en.tooLong(1)).toBe("1 byte too long");
  expect(de.tooLong(2)).toBe("2 Bytes zu lang");
});

describe("the language", () => {
  afterEach(() => chooseLanguage("auto"));

  test.each([
    [["de-AT", "en"], "de"],
    [["en-GB", "de"], "en"],
    [["fr", "de-CH", "en"], "de"],
    [["DE"], "de"],
    [["fr", "es"], "en"],
    [["den", "eng"], "en"],
    [[], "en"],
  ] as const)("of %j is %s", (preferences, expected) => {
    expect(languageOf(preferences)).toBe(expected);
  });

  test("is the one that was chosen, else the browser's", () => {
    chooseLanguage("de");
    expect([chosenLanguage(), language(), m().stop]).toEqual(["de", "de", "Anhalten"]);
    expect(document.documentElement.lang).toBe("de");
    chooseLanguage("auto");
    expect(language()).toBe(languageOf(navigator.languages));
    expect(document.documentElement.lang).toBe(language());
  });
});
