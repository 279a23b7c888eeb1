// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { renderMarkdown } from "./blocks";
import { chipOf, enhance } from "./enhance";
import { highlight } from "./highlight";

const LABELS = { copy: "Copy", copied: "Copied", table: "Table", code: (lang: string) => `Code in ${lang}` };
const CODE = '```rust\nlet x = "<b>"; // a long line that does not fit\n```\n';

let root: HTMLElement;

function show(markdown: string): void {
  root.innerHTML = renderMarkdown(markdown)
    .map((block) => block.html)
    .join("");
}

beforeEach(() => {
  root = document.createElement("div");
  document.body.append(root);
});

afterEach(() => {
  root.remove();
  vi.useRealTimers();
});

describe("enhancing an answer", () => {
  it("gives code one header, however often, and keeps its words up to date", () => {
    show(CODE);
    enhance(root, { labels: LABELS, closed: false });
    enhance(root, { labels: { ...LABELS, copy: "Kopieren" }, closed: false });
    expect(root.querySelectorAll(".code-head")).toHaveLength(1);
    expect(root.querySelector(".code-lang")?.textContent).toBe("rust");
    expect(root.querySelector(".code-copy")?.textContent).toBe("Kopieren");
    expect(root.querySelector("code")?.tabIndex).toBe(0);
    expect(root.querySelector("code")?.getAttribute("aria-label")).toBe("Code in rust");
    expect(root.querySelector(".hljs-keyword")).toBeNull();
  });

  it("names tables and boxes", () => {
    show("| a |\n|---|\n\n- [ ] do *this*\n  - [x] and that\n");
    enhance(root, { labels: LABELS, closed: true });
    expect(root.querySelector(".table")?.getAttribute("aria-label")).toBe("Table");
    const names = [...root.querySelectorAll("input")].map((box) => box.getAttribute("aria-label"));
    expect(names).toEqual(["do this", "and that"]);
  });

  it("highlights closed code without changing its text", async () => {
    show(CODE);
    const text = root.querySelector("code")?.textContent;
    enhance(root, { labels: LABELS, closed: true });
    enhance(root, { labels: LABELS, closed: true });
    await vi.waitFor(() => expect(root.querySelector(".hljs-keyword")).not.toBeNull(), { timeout: 10_000 });
    expect(root.querySelector("code")?.textContent).toBe(text);
    expect(root.querySelector("b")).toBeNull();
  });

  it("copies, says so, and takes it back", async () => {
    vi.useFakeTimers();
    const writeText = vi.fn(async () => undefined);
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    show(CODE);
    enhance(root, { labels: LABELS, closed: false });
    const button = root.querySelector<HTMLElement>(".code-copy");
    button?.click();
    await vi.advanceTimersByTimeAsync(10);
    expect(writeText).toHaveBeenCalledExactlyOnceWith('let x = "<b>"; // a long line that does not fit');
    expect(root.querySelector("[role=status]")?.textContent).toBe("Copied");
    expect(button?.textContent).toBe("Copied");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(root.querySelector("[role=status]")?.textContent).toBe("");
    expect(button?.textContent).toBe("Copy");
    vi.unstubAllGlobals();
  });

  it("copies the old way where there is no clipboard", async () => {
    const copied: string[] = [];
    document.execCommand = () => copied.push(document.querySelector("textarea")?.value ?? "") > 0;
    show("```\na\nb\n```");
    enhance(root, { labels: LABELS, closed: false });
    root.querySelector<HTMLElement>(".code-copy")?.click();
    await vi.waitFor(() => expect(copied).toEqual(["a\nb"]));
    expect(document.querySelector("textarea")).toBeNull();
  });
});

describe("chips", () => {
  it("are found from what is clicked", () => {
    show("[Ask](chip:ask/more) [Go](chip:go/a/b) [Link](https://example.com)");
    const [ask, go] = root.querySelectorAll("button");
    expect(chipOf(ask ?? null)).toEqual({ kind: "ask", text: "more" });
    expect(chipOf(go ?? null)).toEqual({ kind: "go", path: "/a/b" });
    expect(chipOf(root.querySelector("a"))).toBeNull();
    expect(chipOf(null)).toBeNull();
  });

  it("that were tampered with do nothing", () => {
    root.innerHTML = '<button class="chip" data-chip="go" data-path="//evil.example">x</button>';
    expect(chipOf(root.firstElementChild)).toBeNull();
  });
});

describe("highlighting", () => {
  it("knows languages and their other names, and leaves the rest alone", async () => {
    for (const lang of ["rust", "ts", "py", "sh", "yml", "html", "C++", "svelte"]) {
      expect(await highlight("let a = 1", lang), lang).not.toBeNull();
    }
    expect(await highlight("a", "")).toBeNull();
    expect(await highlight("a", "klingon")).toBeNull();
    expect(await highlight("a".repeat(100 * 1024 + 1), "rust")).toBeNull();
  });

  it("escapes", async () => {
    const html = await highlight('<img src=x onerror="a"> &lt;', "html");
    expect(html).not.toContain("<img");
    const element = document.createElement("code");
    element.innerHTML = html ?? "";
    expect(element.textContent).toBe('<img src=x onerror="a"> &lt;');
  });
});
