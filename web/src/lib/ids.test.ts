import { expect, test, vi } from "vitest";
import { uuid } from "./ids";

test("is a UUIDv7 of now, without crypto.randomUUID", () => {
  vi.spyOn(crypto, "randomUUID").mockImplementation(() => {
    throw new Error("only over HTTPS");
  });
  const id = uuid();
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const time = parseInt(id.replaceAll("-", "").slice(0, 12), 16);
  expect(Math.abs(time - Date.now())).toBeLessThan(1000);
});

test("ids sort in the order in which they were made, also within a millisecond, and are unique", () => {
  const ids = Array.from({ length: 2000 }, uuid);
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});
