// @vitest-environment jsdom
import { expect, test, vi } from "vitest";
import { keepFocus } from "./focus";

test("the focus is put elsewhere where its element goes away, and only then", async () => {
  document.body.innerHTML = "<main><button>a</button><button>b</button><p>c</p></main>";
  const [first, second] = document.querySelectorAll("button");
  const rescue = vi.fn(() => second?.focus());
  const stop = keepFocus(document.body, rescue);
  first?.focus();
  document.querySelector("p")?.remove();
  await Promise.resolve();
  expect(rescue).not.toHaveBeenCalled();
  first?.remove();
  await Promise.resolve();
  expect(rescue).toHaveBeenCalledTimes(1);
  expect(document.activeElement).toBe(second);
  stop();
  second?.remove();
  await Promise.resolve();
  expect(rescue).toHaveBeenCalledTimes(1);
});
