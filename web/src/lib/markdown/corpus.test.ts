// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from "vitest";

import { MarkdownStream, renderMarkdown } from "./blocks";
import type { Block } from "./blocks";
import { PAYLOADS } from "./corpus";
import { chipOf, enhance } from "./enhance";
import { sanitise } from "./sanitise";
import { prefixes, random } from "./testing";

/** What an answer is made of; no script, no frame, no form, no picture, no foreign namespace. */
const ELEMENTS = new Set(
  "a blockquote br button code del div em h3 h4 h5 h6 hr input li ol p pre span strong table tbody td th thead tr ul".split(
    " ",
  ),
);
const ATTRIBUTES = new Set(
  "href title class target rel dir type disabled checked tabindex role start data-chip data-text data-path data-lang".split(
    " ",
  ),
);
const ADDRESS = /^(?:https?:\/\/|mailto:)/;
const LABELS = { copy: "Copy", copied: "Copied", table: "Table", code: (lang: string) => `Code ${lang}` };

// Thousands of answers are looked through.
vi.setConfig({ testTimeout: 60_000 });

let place: HTMLElement;

beforeEach(() => {
  document.body.innerHTML = "";
  place = document.createElement("div");
  document.body.append(place);
});

/** Puts the blocks into the document, as the page does, and looks for what must not be there. */
function inspect(blocks: readonly Block[], payload: string): void {
  place.innerHTML = blocks.map((block) => block.html).join("");
  for (const element of place.getElementsByTagName("*")) {
    if (!ELEMENTS.has(element.localName)) expect.fail(`${element.localName} in ${payload}`);
    for (const { name, value } of element.attributes) {
      if (!ATTRIBUTES.has(name)) expect.fail(`${name} in ${payload}`);
      if (name === "href") expect(value, payload).toMatch(ADDRESS);
    }
    if (element.hasAttribute("data-path")) {
      const chip = chipOf(element);
      const url = new URL(chip?.kind === "go" ? chip.path : "", "https://here.example");
      expect([url.origin, element.getAttribute("data-path")], payload).toEqual([
        "https://here.example",
        url.pathname + url.search + url.hash,
      ]);
    }
  }
  // Nothing but text was lost on the way out of the answer's own element.
  expect(document.body.children).toHaveLength(1);
  expect("__xss" in window, payload).toBe(false);
}

describe("the payloads", () => {
  it("are many, and no two are the same", () => {
    expect(PAYLOADS.length).toBeGreaterThanOrEqual(120);
    expect(new Set(PAYLOADS).size).toBe(PAYLOADS.length);
  });

  it("do nothing as whole answers", () => {
    for (const payload of PAYLOADS) {
      inspect(renderMarkdown(payload), payload);
      enhance(place, { labels: LABELS, closed: true });
      for (const code of place.querySelectorAll("code"))
        expect(code.innerHTML, payload).not.toMatch(/<(?!\/?span)/);
    }
  });

  it("do nothing while they stream, wherever they are cut", () => {
    const next = random(4);
    for (const payload of PAYLOADS) {
      const stream = new MarkdownStream();
      for (const prefix of prefixes(payload, 3, next))
        inspect(stream.update(prefix, { complete: false }), payload);
      inspect(stream.update(payload, { complete: true }), payload);
    }
  });

  it("do nothing inside other Markdown", () => {
    const frames: ((payload: string) => string)[] = [
      (payload) => `> ${payload.replaceAll("\n", "\n> ")}`,
      (payload) => `- ${payload.replaceAll("\n", "\n  ")}\n- x`,
      (payload) => `| a |\n|---|\n| ${payload.replaceAll("\n", " ")} |`,
      (payload) => `\`\`\`html\n${payload}\n\`\`\``,
      (payload) => `**bold ${payload.replaceAll("\n", " ")} [l](https://example.com)**`,
      (payload) => `[${payload.replaceAll("\n", " ")}](https://example.com)`,
      (payload) =>
        `![${payload.replaceAll("\n", " ")}](https://example.com/x.png "${payload.replaceAll("\n", " ")}")`,
    ];
    const next = random(5);
    for (const payload of PAYLOADS) {
      // One inside another; which, is another draw for each payload.
      for (let round = 0; round < 2; round += 1) {
        const [inner, outer] = [next(), next()].map((draw) => frames[Math.floor(draw * frames.length)]);
        const text = outer?.(inner?.(payload) ?? "") ?? "";
        inspect(renderMarkdown(text), text);
      }
    }
  });

  it("do nothing even if the renderer let them through", () => {
    for (const payload of PAYLOADS) inspect([{ html: sanitise(payload) }], payload);
  });

  it("follow one another in one answer", () => {
    inspect(renderMarkdown(PAYLOADS.join("\n\n")), "all");
    inspect(renderMarkdown(PAYLOADS.join("")), "all");
  });
});
