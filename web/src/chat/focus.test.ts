// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { keepFocus } from "./focus";

let rescue: ReturnType<typeof vi.fn<() => void>>;
let forget: () => void;

beforeEach(() => {
  document.body.innerHTML = '<div id="part"><button id="inner">a</button></div><button id="other">b</button>';
  rescue = vi.fn<() => void>();
  forget = keepFocus(document.body, rescue);
});
afterEach(() => {
  forget();
  document.body.innerHTML = "";
});

const element = (id: string) => document.getElementById(id);
/** Lets the observer see what was changed. */
const seen = () => new Promise<void>((resolve) => setTimeout(resolve));

test("saves the keyboard's place where its element goes away, once", async () => {
  element("inner")?.focus();
  element("part")?.remove();
  await seen();
  expect(rescue).toHaveBeenCalledTimes(1);
  element("other")?.remove();
  await seen();
  expect(rescue).toHaveBeenCalledTimes(1);
});

test("takes the focus from nobody", async () => {
  element("inner")?.focus();
  element("other")?.remove();
  await seen();
  element("inner")?.blur();
  document.body.append(document.createElement("p"));
  await seen();
  expect(rescue).not.toHaveBeenCalled();
});

test("leaves it where somebody put it elsewhere", async () => {
  element("inner")?.focus();
  element("part")?.remove();
  element("other")?.focus();
  await seen();
  expect(rescue).not.toHaveBeenCalled();
});

test("ends", async () => {
  element("inner")?.focus();
  forget();
  element("part")?.remove();
  await seen();
  expect(rescue).not.toHaveBeenCalled();
});
