// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chosenLanguage, language, m } from "../lib/i18n/index.svelte";
import { setLanguage, setNotify, settings, setTheme, startSettings } from "./settings.svelte";
import { refuseStorage } from "./testing/browser";

const theme = () => document.documentElement.dataset["theme"];

/** Another tab wrote this. */
function elsewhere(key: string | null, value: string | null): void {
  if (key === null) localStorage.clear();
  else if (value === null) localStorage.removeItem(key);
  else localStorage.setItem(key, value);
  dispatchEvent(new StorageEvent("storage", { key, newValue: value }));
}

beforeEach(() => {
  localStorage.clear();
  startSettings();
});
afterEach(() => {
  setTheme("auto");
  setLanguage("auto");
  setNotify(false);
});

test("nothing chosen means what the system says", () => {
  expect(settings).toEqual({ theme: "auto", language: "auto", notify: false });
  expect(theme()).toBeUndefined();
  expect(localStorage).toHaveLength(0);
});

test("a choice is shown at once, and kept", () => {
  setTheme("dark");
  setLanguage("de");
  setNotify(true);
  expect(theme()).toBe("dark");
  expect(document.documentElement.lang).toBe("de");
  expect(m().stop).toBe("Anhalten");
  settings.theme = "light";
  settings.language = "en";
  settings.notify = false;
  startSettings();
  expect(settings).toEqual({ theme: "dark", language: "de", notify: true });
});

test("what is taken back leaves nothing behind", () => {
  setTheme("light");
  setLanguage("en");
  setNotify(true);
  setTheme("auto");
  setLanguage("auto");
  setNotify(false);
  expect(theme()).toBeUndefined();
  expect(localStorage).toHaveLength(0);
  expect(chosenLanguage()).toBe("auto");
  expect(document.documentElement.lang).toBe(language());
});

test("the names are those that are read before the first paint", () => {
  setTheme("dark");
  setLanguage("de");
  expect(localStorage.getItem("paliadin.theme")).toBe("dark");
  expect(localStorage.getItem("paliadin.lang")).toBe("de");
});

describe("other tabs", () => {
  test("are followed", () => {
    elsewhere("paliadin.theme", "dark");
    elsewhere("paliadin.lang", "de");
    elsewhere("paliadin.notify", "yes");
    expect(settings).toEqual({ theme: "dark", language: "de", notify: true });
    expect(theme()).toBe("dark");
    expect(language()).toBe("de");
    elsewhere("paliadin.theme", null);
    expect(theme()).toBeUndefined();
    expect(settings.language).toBe("de");
  });

  test("may have emptied the storage", () => {
    setTheme("dark");
    elsewhere(null, null);
    expect(settings.theme).toBe("auto");
    expect(theme()).toBeUndefined();
  });

  test("write other things that say nothing about settings", () => {
    settings.theme = "light";
    elsewhere("paliadin.draft:ada@example.org:new", "text");
    expect(settings.theme).toBe("light");
  });
});

test.each(["", "purple", "DARK", "auto", "null", "__proto__"])("a stored %j is no choice", (value) => {
  elsewhere("paliadin.theme", value);
  elsewhere("paliadin.lang", value);
  elsewhere("paliadin.notify", value);
  expect(settings).toEqual({ theme: "auto", language: "auto", notify: false });
});

test("where storage is refused a choice lasts as long as the page", () => {
  refuseStorage();
  startSettings();
  setTheme("dark");
  setLanguage("de");
  setNotify(true);
  expect(settings).toEqual({ theme: "dark", language: "de", notify: true });
  expect(theme()).toBe("dark");
  expect(language()).toBe("de");
});
