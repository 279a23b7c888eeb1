import { beforeEach, expect, test } from "vitest";
import { Drafts } from "./drafts";
import { refuseStorage } from "./testing/browser";

beforeEach(() => localStorage.clear());

test("keeps a draft for each user and conversation", () => {
  const drafts = new Drafts("ada@example.org");
  drafts.write("s1", "one");
  drafts.write("s2", "two\nlines");
  drafts.write(null, "not begun");
  new Drafts("bob@example.org").write("s1", "somebody else’s");
  const reloaded = new Drafts("ada@example.org");
  expect(reloaded.read("s1")).toBe("one");
  expect(reloaded.read("s2")).toBe("two\nlines");
  expect(reloaded.read(null)).toBe("not begun");
  expect(reloaded.read("s3")).toBe("");
});

test("an empty draft leaves nothing behind", () => {
  const drafts = new Drafts("ada@example.org");
  drafts.write("s1", "one");
  drafts.write("s1", "");
  expect(drafts.read("s1")).toBe("");
  expect(localStorage).toHaveLength(0);
});

test("where storage is refused there are no drafts, and no errors", () => {
  refuseStorage();
  const drafts = new Drafts("ada@example.org");
  drafts.write("s1", "one");
  drafts.write("s1", "");
  expect(drafts.read("s1")).toBe("");
});
