// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { flushSync } from "svelte";
import { describe, expect, test, vi } from "vitest";
import Composer from "./Composer.svelte";
import { Drafts } from "./drafts";
import { COARSE, holds, refuseStorage, usePage } from "./testing/browser";

usePage();

const drafts = new Drafts("ada@example.org");

/** The field of conversation `s1`, and what becomes of what is typed. */
function show({ limit = 1_000, busy = false, asking = false, draftOf = "s1" as string | null } = {}) {
  const onsend = vi.fn<(message: string) => void>();
  const onstop = vi.fn<() => void>();
  const { rerender, component } = render(Composer, { drafts, draftOf, limit, busy, asking, onsend, onstop });
  const field = screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" });
  const type = (value: string) => fireEvent.input(field, { target: { value } });
  const press = (more: KeyboardEventInit) => fireEvent.keyDown(field, { key: "Enter", ...more });
  return { field, type, press, onsend, onstop, rerender, component };
}

const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });

describe("Enter", () => {
  test("sends, empties the field, and stays in it", async () => {
    const { field, type, press, onsend } = show();
    await type("Hello\nthere ");
    // Nothing else may come of the key: `false` is a default that was prevented.
    expect(await press({})).toBe(false);
    expect(onsend.mock.calls).toEqual([["Hello\nthere "]]);
    expect(field.value).toBe("");
    expect(document.activeElement).toBe(field);
  });

  test.each([
    ["with Shift begins a line", { shiftKey: true }],
    ["of an input method chooses a word", { isComposing: true }],
  ])("%s", async (_, more) => {
    const { type, press, onsend } = show();
    await type("Hello");
    expect(await press(more)).toBe(true);
    expect(onsend).not.toHaveBeenCalled();
  });

  test("begins a line on a phone; a keyboard's Ctrl or Command sends there", async () => {
    holds(COARSE);
    const { type, press, onsend } = show();
    await type("Hello");
    expect(await press({})).toBe(true);
    expect(onsend).not.toHaveBeenCalled();
    await press({ ctrlKey: true });
    await type("again");
    await press({ metaKey: true });
    expect(onsend.mock.calls).toEqual([["Hello"], ["again"]]);
  });

  test.each(["", "  \n\t "])("does nothing with %j", async (text) => {
    const { type, press, onsend } = show();
    await type(text);
    await press({});
    expect(onsend).not.toHaveBeenCalled();
    expect(button("Send").disabled).toBe(true);
  });
});

describe("the limit", () => {
  test.each([
    ["x".repeat(60), null],
    ["x".repeat(91), "9 bytes left"],
    ["x".repeat(100), "0 bytes left"],
    ["x".repeat(101), "1 byte too long"],
    ["ü".repeat(46), "8 bytes left"],
    ["ü".repeat(51), "2 bytes too long"],
    ["漢".repeat(34), "2 bytes too long"],
    ["🙂".repeat(25), "0 bytes left"],
    ["🙂".repeat(26), "4 bytes too long"],
  ])("counts the bytes of %s", async (text, said) => {
    const { field, type, press, onsend } = show({ limit: 100 });
    await type(text);
    const over = said?.includes("too long") ?? false;
    if (said) expect(screen.getByText(said)).toBeTruthy();
    else expect(screen.getByText(/^Enter sends/)).toBeTruthy();
    expect(field.getAttribute("aria-invalid")).toBe(String(over));
    expect(button("Send").disabled).toBe(over);
    expect(screen.queryByRole("alert")?.textContent?.trim() ?? null).toBe(over ? said : null);
    await press({});
    expect(onsend).toHaveBeenCalledTimes(over ? 0 : 1);
    expect(field.value).toBe(over ? text : "");
  });
});

describe("the draft", () => {
  test("of its own conversation is in the field", () => {
    drafts.write("s1", "begun");
    drafts.write("s2", "another");
    expect(show().field.value).toBe("begun");
  });

  test("is kept while one types, and gone when it is sent", async () => {
    const { type, press, onsend } = show();
    await type("Hel");
    expect(drafts.read("s1")).toBe("Hel");
    onsend.mockImplementation(() => expect(drafts.read("s1")).toBe(""));
    await press({});
    expect(onsend).toHaveBeenCalledTimes(1);
    expect(drafts.read("s1")).toBe("");
  });

  test("of a conversation that is not begun does not stay behind when it begins", async () => {
    const { type, press, onsend, rerender } = show({ draftOf: null });
    await type("Hello");
    onsend.mockImplementation(() => void rerender({ draftOf: "s1" }));
    await press({});
    expect([drafts.read(null), drafts.read("s1")]).toEqual(["", ""]);
  });

  test("is followed where another tab sends it, and not where both typed", async () => {
    const { field, type } = show();
    const elsewhere = (oldValue: string | null, newValue: string | null, of = "s1") =>
      fireEvent(window, new StorageEvent("storage", { key: drafts.keyOf(of), oldValue, newValue }));
    await elsewhere(null, "typed there");
    expect(field.value).toBe("typed there");
    await elsewhere("typed there", null);
    expect(field.value).toBe("");
    await type("typed here");
    await elsewhere("typed there", null);
    await elsewhere("typed here", "x", "s2");
    expect(field.value).toBe("typed here");
  });

  test("is not missed where storage is refused", async () => {
    refuseStorage();
    const { type, press, onsend } = show();
    await type("Hello");
    await press({});
    expect(onsend).toHaveBeenCalledWith("Hello");
  });
});

describe("a message that was given up", () => {
  test("is in the field again, and kept", () => {
    const { field, component } = show();
    component.offer("Hello");
    flushSync();
    expect(field.value).toBe("Hello");
    expect(drafts.read("s1")).toBe("Hello");
  });

  test("takes nobody's words away", async () => {
    const { field, type, component } = show();
    await type("something else");
    component.offer("Hello");
    flushSync();
    expect(field.value).toBe("something else");
    expect(drafts.read("s1")).toBe("something else");
  });
});

test("says that the agent waits above, unless the limit is near", async () => {
  const { type } = show({ asking: true, limit: 100 });
  expect(screen.getByText(/^The agent waits for your answer above/)).toBeTruthy();
  await type("x".repeat(95));
  expect(screen.getByText("5 bytes left")).toBeTruthy();
  expect(screen.queryByText(/^The agent waits/)).toBeNull();
});

describe("the button", () => {
  test("stops what runs, as long as nothing is typed", async () => {
    const { type, onstop, onsend } = show({ busy: true });
    await fireEvent.click(button("Stop"));
    expect(onstop).toHaveBeenCalledTimes(1);
    await type("next");
    expect(screen.queryByRole("button", { name: "Stop" })).toBeNull();
    await fireEvent.click(button("Send"));
    expect(onsend).toHaveBeenCalledWith("next");
    expect(button("Stop")).toBeTruthy();
  });

  test("sends where nothing runs", async () => {
    const { type, onsend } = show();
    expect(screen.queryByRole("button", { name: "Stop" })).toBeNull();
    await type("Hello");
    await fireEvent.click(button("Send"));
    expect(onsend).toHaveBeenCalledWith("Hello");
  });
});

describe("the focus", () => {
  test("is in the field from the start where there is a keyboard", () => {
    const { field } = show();
    flushSync();
    expect(document.activeElement).toBe(field);
  });

  test("is not taken on a phone", () => {
    holds(COARSE);
    show();
    flushSync();
    expect(document.activeElement).toBe(document.body);
  });

  test("is not taken from where it is", () => {
    const other = document.body.appendChild(document.createElement("input"));
    other.focus();
    show();
    flushSync();
    expect(document.activeElement).toBe(other);
    other.remove();
  });
});
