// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { describe, expect, test, vi } from "vitest";
import Question from "./Question.svelte";
import { usePage } from "./testing/browser";

usePage();

function show(message: string, editing = false) {
  const onsend = vi.fn<(message: string) => void>();
  const onleave = vi.fn<() => void>();
  const { rerender } = render(Question, { message, editing, onsend, onleave });
  return { onsend, onleave, rerender };
}

const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
const text = () => screen.getByText(/line 1\b|x{100}/);

describe("a question", () => {
  test.each([
    ["of many lines", Array.from({ length: 13 }, (_, at) => `line ${at + 1}`).join("\n")],
    ["of many characters", "x".repeat(1_201)],
  ])("%s is folded", async (_, message) => {
    show(message);
    expect(text().classList.contains("folded")).toBe(true);
    expect(button("Show all").getAttribute("aria-expanded")).toBe("false");
    await fireEvent.click(button("Show all"));
    expect(text().classList.contains("folded")).toBe(false);
    expect(button("Show less").getAttribute("aria-expanded")).toBe("true");
    await fireEvent.click(button("Show less"));
    expect(text().classList.contains("folded")).toBe(true);
  });

  test.each([Array.from({ length: 12 }, (_, at) => `line ${at + 1}`).join("\n"), "x".repeat(1_200)])(
    "that is not too long is not: %.8s…",
    (message) => {
      show(message);
      expect(text().classList.contains("folded")).toBe(false);
      expect(screen.queryByRole("button")).toBeNull();
    },
  );

  test("is text and nothing else", () => {
    show("<b>bold</b> [chip](chip:ask)");
    expect(screen.getByText("<b>bold</b> [chip](chip:ask)")).toBeTruthy();
  });
});

describe("editing", () => {
  const field = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Your question" });
  const type = (value: string) => fireEvent.input(field(), { target: { value } });

  test("begins with the question, at its end", async () => {
    show("Hello", true);
    await vi.waitFor(() => expect(document.activeElement).toBe(field()));
    expect(field().value).toBe("Hello");
    expect(field().selectionStart).toBe(5);
  });

  test("ends with Enter or the button, which send what is there now", async () => {
    const { onsend, onleave } = show("Hello", true);
    await type("Hello there");
    await fireEvent.keyDown(field(), { key: "Enter" });
    await fireEvent.click(button("Send again"));
    expect(onsend.mock.calls).toEqual([["Hello there"], ["Hello there"]]);
    expect(onleave).toHaveBeenCalledTimes(2);
  });

  test("goes on with Shift + Enter, and with an input method", async () => {
    const { onsend, onleave } = show("Hello", true);
    expect(await fireEvent.keyDown(field(), { key: "Enter", shiftKey: true })).toBe(true);
    expect(await fireEvent.keyDown(field(), { key: "Enter", isComposing: true })).toBe(true);
    expect(onsend).not.toHaveBeenCalled();
    expect(onleave).not.toHaveBeenCalled();
  });

  test("is left with Escape, which means nothing else then", async () => {
    const outside = vi.fn<() => void>();
    window.addEventListener("keydown", outside);
    const { onsend, onleave } = show("Hello", true);
    await type("changed");
    await fireEvent.keyDown(field(), { key: "Escape" });
    window.removeEventListener("keydown", outside);
    expect(onleave).toHaveBeenCalledTimes(1);
    expect(onsend).not.toHaveBeenCalled();
    expect(outside).not.toHaveBeenCalled();
  });

  test("is left with the button", async () => {
    const { onsend, onleave } = show("Hello", true);
    await fireEvent.click(button("Cancel"));
    expect(onleave).toHaveBeenCalledTimes(1);
    expect(onsend).not.toHaveBeenCalled();
  });

  test("sends nothing where nothing is left", async () => {
    const { onsend, onleave } = show("Hello", true);
    await type("  \n");
    expect(button("Send again").disabled).toBe(true);
    await fireEvent.keyDown(field(), { key: "Enter" });
    expect(onsend).not.toHaveBeenCalled();
    expect(onleave).not.toHaveBeenCalled();
  });

  test("begins anew with the question as it was sent", async () => {
    const { rerender } = show("Hello", true);
    await type("changed");
    await rerender({ editing: false });
    await rerender({ editing: true });
    expect(field().value).toBe("Hello");
  });
});
