// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { flushSync } from "svelte";
import { expect, test, vi } from "vitest";
import Menu from "./Menu.svelte";
import { usePage } from "./testing/browser";

usePage();

async function open() {
  const run = vi.fn<(label: string) => void>();
  const items = ["Rename", "Export", "Delete"].map((label) => ({
    label,
    icon: "edit" as const,
    run: () => run(label),
  }));
  render(Menu, { label: "More", items });
  const button = screen.getByRole("button", { name: "More" });
  button.focus();
  await fireEvent.click(button);
  return { run, button };
}

const menu = () => screen.queryByRole("menu");
const focused = () => document.activeElement?.textContent?.trim();
async function press(key: string): Promise<boolean> {
  return fireEvent.keyDown(document.activeElement ?? document.body, { key });
}

test("opens on its first entry", async () => {
  const { button } = await open();
  expect(menu()?.getAttribute("aria-label")).toBe("More");
  expect(button.getAttribute("aria-expanded")).toBe("true");
  expect(button.getAttribute("aria-controls")).toBe(menu()?.id);
  expect(screen.getAllByRole("menuitem").map((item) => item.textContent?.trim())).toEqual([
    "Rename",
    "Export",
    "Delete",
  ]);
  expect(focused()).toBe("Rename");
});

test("the arrows go round, Home and End to the ends, and none of them scrolls", async () => {
  await open();
  for (const [key, expected] of [
    ["ArrowDown", "Export"],
    ["ArrowDown", "Delete"],
    ["ArrowDown", "Rename"],
    ["ArrowUp", "Delete"],
    ["ArrowUp", "Export"],
    ["Home", "Rename"],
    ["End", "Delete"],
  ] as const) {
    expect(await press(key)).toBe(false);
    expect(focused(), key).toBe(expected);
  }
  expect(await press("x")).toBe(true);
});

test("Escape closes it alone, and gives the focus back", async () => {
  const outside = vi.fn<() => void>();
  window.addEventListener("keydown", outside);
  const { button, run } = await open();
  await press("Escape");
  window.removeEventListener("keydown", outside);
  expect(menu()).toBeNull();
  expect(document.activeElement).toBe(button);
  expect(button.getAttribute("aria-expanded")).toBe("false");
  expect(outside).not.toHaveBeenCalled();
  expect(run).not.toHaveBeenCalled();
});

test("an entry closes it, gives the focus back, and then does what it says", async () => {
  const { button, run } = await open();
  run.mockImplementation(() => {
    flushSync();
    expect(menu()).toBeNull();
    expect(document.activeElement).toBe(button);
  });
  await fireEvent.click(screen.getByRole("menuitem", { name: "Export" }));
  expect(run.mock.calls).toEqual([["Export"]]);
});

test("its button closes it, too", async () => {
  const { button } = await open();
  await fireEvent.click(button);
  expect(menu()).toBeNull();
  expect(document.activeElement).toBe(button);
});

test("closes when the focus goes elsewhere, and does not take it back", async () => {
  await open();
  const other = document.body.appendChild(document.createElement("button"));
  other.focus();
  flushSync();
  expect(menu()).toBeNull();
  expect(document.activeElement).toBe(other);
  other.remove();
});
