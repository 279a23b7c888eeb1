// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { describe, expect, test, vi, beforeEach } from "vitest";
import Answer from "./Answer.svelte";
import { hide, holds, REDUCED, usePage } from "./testing/browser";

usePage();
beforeEach(() => {
  vi.useFakeTimers();
});

const FRAME = 16;

function show(text: string, { complete = false, typed = false } = {}) {
  const { container, rerender } = render(Answer, { text, complete, typed });
  const blocks = () => [...container.querySelectorAll<HTMLElement>(".block")];
  const shown = () => blocks().map(({ textContent }) => textContent?.trim());
  /** The text so far, as it is drawn in the next frame. */
  const grow = async (text: string, complete = false) => {
    await rerender({ text, complete });
    await vi.advanceTimersByTimeAsync(FRAME);
  };
  return { container, blocks, shown, grow };
}

const skip = () => screen.queryByRole("button", { name: "Show all at once" });

describe("an answer that is being written", () => {
  test("is there from the first moment", () => {
    expect(show("# Title\n\nHel").shown()).toEqual(["Title", "Hel"]);
  });

  test("keeps the elements of what is complete while it grows", async () => {
    const { container, blocks, shown, grow } = show("# Title\n\nFirst *paragraph*.\n\nSec");
    const [title, first] = [container.querySelector("h3"), container.querySelector("p")];
    const second = blocks()[2];
    for (const text of ["ond", "\n\n- a", "\n- b", "\n\nThird"]) {
      await grow(`# Title\n\nFirst *paragraph*.\n\nSec${text}`);
      expect(container.querySelector("h3")).toBe(title);
      expect(container.querySelector("p")).toBe(first);
      expect(blocks()[2]).toBe(second);
    }
    await grow("# Title\n\nFirst *paragraph*.\n\nSecond\n\n- a\n- b\n\nThird", true);
    expect(shown()).toEqual(["Title", "First paragraph.", "Second", "ab", "Third"]);
    expect(blocks()[0]?.contains(title)).toBe(true);
    expect(blocks()[1]?.contains(first)).toBe(true);
  });

  test("keeps what the reader did in it: a focus, a selection", async () => {
    const { container, grow } = show("[Yes](chip:ask)\n\nMore");
    container.querySelector("button")?.focus();
    const focused = document.activeElement;
    expect(focused?.textContent).toBe("Yes");
    await grow("[Yes](chip:ask)\n\nMore and more\n\nand more");
    expect(document.activeElement).toBe(focused);
  });

  test("is drawn once a frame, however many pieces come", async () => {
    const { shown, grow } = show("a");
    const frames = vi.spyOn(globalThis, "requestAnimationFrame");
    await grow("a b");
    expect(shown()).toEqual(["a b"]);
    expect(frames.mock.calls.length).toBeLessThanOrEqual(2);
  });

  test("is drawn anew where it is another one", async () => {
    const { shown, grow } = show("This was\n\nlost");
    await grow("Something else");
    expect(shown()).toEqual(["Something else"]);
  });

  test("has headers of code in the reader’s language", () => {
    const { container } = show("```rust\nlet x;\n```\n", { complete: true });
    expect(container.querySelector(".code-copy")?.textContent).toBe("Copy");
    expect(container.querySelector(".code-lang")?.textContent).toBe("rust");
  });
});

describe("an answer that came at once", () => {
  const text = `${"Lorem ipsum ".repeat(100)}\n\nThe end.`;

  test("is typed out, faster the longer it is", async () => {
    const { shown, container } = show(text, { complete: true, typed: true });
    expect(shown().join("")).toBe("");
    expect(skip()).not.toBeNull();
    await vi.advanceTimersByTimeAsync(500);
    const half = container.querySelector(".answer")?.textContent?.length ?? 0;
    expect(half).toBeGreaterThan(100);
    expect(half).toBeLessThan(text.length);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(shown().at(-1)).toBe("The end.");
    expect(skip()).toBeNull();
  });

  test("never shows half of a character", async () => {
    const faces = "🙂".repeat(40);
    const { container } = show(faces, { complete: true, typed: true });
    for (let frame = 0; frame < 60; frame++) {
      await vi.advanceTimersByTimeAsync(FRAME);
      expect(container.querySelector(".answer")?.textContent?.trim()).toMatch(/^(?:🙂)*$/u);
    }
    expect(container.querySelector(".answer")?.textContent?.trim()).toBe(faces);
  });

  test("is all there when one asks for it", async () => {
    const { shown } = show(text, { complete: true, typed: true });
    await vi.advanceTimersByTimeAsync(100);
    const button = skip();
    if (button) await fireEvent.click(button);
    await vi.advanceTimersByTimeAsync(FRAME);
    expect(shown().at(-1)).toBe("The end.");
    expect(skip()).toBeNull();
  });

  test("is all there when one looks away", async () => {
    const { shown } = show(text, { complete: true, typed: true });
    await vi.advanceTimersByTimeAsync(100);
    hide(true);
    await vi.advanceTimersByTimeAsync(FRAME);
    expect(shown().at(-1)).toBe("The end.");
  });

  test.each([
    ["nothing may move", () => holds(REDUCED)],
    ["nobody looks", () => hide(true)],
  ])("is all there at once where %s", (_, arrange) => {
    arrange();
    expect(show(text, { complete: true, typed: true }).shown().at(-1)).toBe("The end.");
    expect(skip()).toBeNull();
  });

  test("is all there at once where it is an old one", () => {
    expect(show(text, { complete: true }).shown().at(-1)).toBe("The end.");
    expect(skip()).toBeNull();
  });
});
