import { afterEach, describe, expect, test, vi } from "vitest";
import { de } from "../lib/i18n/de";
import { en } from "../lib/i18n/en";
import { actionOf, keysOf, SHORTCUTS } from "./shortcuts";

/** A key: what it is on the keyboard, what the layout makes of it, and what is held with it. */
function press(code: string, key: string, ...held: ("ctrl" | "alt" | "meta" | "shift")[]): KeyboardEvent {
  const modifiers = Object.fromEntries(held.map((name) => [`${name}Key`, true]));
  return new KeyboardEvent("keydown", { code, key, ...modifiers });
}

function onMac(): void {
  vi.spyOn(navigator, "platform", "get").mockReturnValue("MacIntel");
}
afterEach(() => vi.restoreAllMocks());

test.each([
  ["new", press("KeyN", "n", "alt")],
  ["search", press("KeyK", "k", "ctrl")],
  ["focus", press("KeyI", "i", "alt")],
  ["stop", press("Period", ".", "alt")],
  ["edit", press("KeyE", "e", "alt")],
  ["copy", press("KeyC", "c", "alt")],
  ["sidebar", press("KeyB", "b", "alt")],
  ["help", press("Slash", "/", "ctrl")],
] as const)("%s has its keys", (action, event) => {
  expect(actionOf(event)).toBe(action);
});

describe("nothing happens on", () => {
  test.each([
    ["a letter alone", press("KeyN", "n")],
    ["the other modifier", press("KeyN", "n", "ctrl")],
    ["Shift beside it", press("KeyN", "N", "alt", "shift")],
    ["Shift beside Ctrl", press("KeyK", "K", "ctrl", "shift")],
    ["AltGr, which is Ctrl + Alt on Windows", press("KeyE", "€", "ctrl", "alt")],
    ["AltGr with a key of Ctrl's", press("KeyK", "k", "ctrl", "alt")],
    ["the Windows key", press("KeyK", "k", "meta")],
    ["Alt with the Windows key", press("KeyN", "n", "alt", "meta")],
    ["a slash that is typed", press("Slash", "/")],
  ])("%s", (_, event) => {
    expect(actionOf(event)).toBeNull();
  });

  test("what an input method is given", () => {
    const composing = new KeyboardEvent("keydown", {
      code: "KeyN",
      key: "n",
      altKey: true,
      isComposing: true,
    });
    expect(actionOf(composing)).toBeNull();
  });
});

describe("on other layouts", () => {
  test("German: the slash is Shift + 7, and the key where others have it makes smaller", () => {
    expect(actionOf(press("Digit7", "/", "ctrl", "shift"))).toBe("help");
    expect(actionOf(press("Slash", "-", "ctrl"))).toBeNull();
    expect(actionOf(press("Slash", "_", "ctrl", "shift"))).toBeNull();
  });

  test("Dvorak: Ctrl's letters are where the layout has them", () => {
    expect(actionOf(press("KeyV", "k", "ctrl"))).toBe("search");
    expect(actionOf(press("KeyK", "t", "ctrl"))).toBeNull();
  });

  test("Russian and Greek: there is no K, so its place counts", () => {
    expect(actionOf(press("KeyK", "л", "ctrl"))).toBe("search");
    expect(actionOf(press("KeyK", "κ", "ctrl"))).toBe("search");
    expect(actionOf(press("Slash", "Ю", "ctrl", "shift"))).toBeNull();
  });

  test("with Caps Lock", () => {
    expect(actionOf(press("KeyK", "K", "ctrl"))).toBe("search");
    expect(actionOf(press("KeyN", "N", "alt"))).toBe("new");
  });
});

describe("on a Mac", () => {
  test("Command takes Ctrl's place", () => {
    onMac();
    expect(actionOf(press("KeyK", "k", "meta"))).toBe("search");
    expect(actionOf(press("KeyK", "k", "ctrl"))).toBeNull();
    expect(actionOf(press("KeyK", "k", "ctrl", "meta"))).toBeNull();
  });

  test("Option makes other characters of letters", () => {
    onMac();
    expect(actionOf(press("KeyN", "Dead", "alt"))).toBe("new");
    expect(actionOf(press("KeyC", "ç", "alt"))).toBe("copy");
    expect(actionOf(press("KeyE", "€", "alt"))).toBe("edit");
    expect(actionOf(press("Period", "…", "alt"))).toBe("stop");
  });

  test("keys are written as they are on its keyboard", () => {
    expect(SHORTCUTS.map(keysOf).map(([modifier]) => modifier)).toContain("Ctrl");
    onMac();
    const written = new Map(SHORTCUTS.map((shortcut) => [shortcut.action, keysOf(shortcut)]));
    expect(written.get("search")).toEqual(["⌘", "K"]);
    expect(written.get("new")).toEqual(["⌥", "N"]);
  });
});

test("no two actions have the same keys, and each is explained", () => {
  const keys = SHORTCUTS.map((shortcut) => keysOf(shortcut).join("+"));
  expect(new Set(keys).size).toBe(SHORTCUTS.length);
  for (const { action } of SHORTCUTS) {
    expect(en.keys[action], action).toBeTruthy();
    expect(de.keys[action], action).toBeTruthy();
  }
});
