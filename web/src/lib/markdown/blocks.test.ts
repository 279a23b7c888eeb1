import { Lexer } from "marked";
import { describe, expect, it, vi } from "vitest";

import { MarkdownStream, renderMarkdown } from "./blocks";
import type { Block } from "./blocks";
import { PIECES, prefixes, random, REFERENCES, someDocument } from "./testing";

// What is sanitised, and how, is for other tests; thousands of documents are rendered here.
vi.mock("./sanitise", () => ({ sanitiseEach: (htmls: string[]) => htmls }));

const html = (blocks: readonly Block[]): string => blocks.map((block) => block.html).join("\n");

/** Feeds the prefixes and gives what was shown after each, the last one complete. */
function feed(stream: MarkdownStream, texts: readonly string[]): (readonly Block[])[] {
  return texts.map((text, index) => stream.update(text, { complete: index === texts.length - 1 }));
}

describe("a text that is cut anywhere", () => {
  it("ends as if it had come whole", () => {
    const next = random(1);
    for (let round = 0; round < 400; round += 1) {
      const text = someDocument([...PIECES, ...REFERENCES], next);
      const shown = feed(new MarkdownStream(), prefixes(text, 1 + Math.floor(next() * 30), next));
      expect(html(shown.at(-1) ?? []), text).toBe(html(renderMarkdown(text)));
    }
  });

  it("never touches a block again that it held to be closed", () => {
    const next = random(2);
    for (let round = 0; round < 400; round += 1) {
      const text = someDocument(PIECES, next);
      const stream = new MarkdownStream();
      const closed = new Map<number, Block>();
      for (const prefix of prefixes(text, 1 + Math.floor(next() * 30), next)) {
        stream.update(prefix, { complete: false });
        for (const [index, block] of stream["closed"].entries()) {
          expect(closed.get(index) ?? block, text).toBe(block);
          closed.set(index, block);
        }
      }
      const last = stream.update(text, { complete: true });
      for (const [index, block] of closed) expect(last[index], text).toBe(block);
    }
  });

  it("is the same for each piece, one character after the other", () => {
    for (const text of [...PIECES, ...REFERENCES]) {
      const texts = Array.from({ length: text.length }, (_, index) => text.slice(0, index + 1));
      const shown = feed(new MarkdownStream(), texts);
      expect(html(shown.at(-1) ?? [])).toBe(html(renderMarkdown(text)));
    }
  });
});

describe("blocks", () => {
  it("are the same objects while the text grows behind them", () => {
    const stream = new MarkdownStream();
    const first = stream.update("# One\n\ntwo\n\n- th", { complete: false });
    const second = stream.update("# One\n\ntwo\n\n- three\n- four\n\nfi", { complete: false });
    expect(second).toHaveLength(4);
    expect(second[0]).toBe(first[0]);
    expect(second[1]).toBe(first[1]);
    const third = stream.update("# One\n\ntwo\n\n- three\n- four\n\nfive", { complete: true });
    expect(third.slice(0, 3)).toEqual(second.slice(0, 3));
    expect(third[2]).toBe(second[2]);
  });

  it("follow another text", () => {
    const stream = new MarkdownStream();
    const first = stream.update("same\n\nold\n\nmore\n", { complete: false });
    const second = stream.update("same\n\nnew", { complete: false });
    expect(html(second)).toBe(html(renderMarkdown("same\n\nnew")));
    expect(second[0]).toBe(first[0]);
    expect(stream.update("", { complete: false })).toEqual([]);
  });

  it("go on after the text was said to be complete", () => {
    const stream = new MarkdownStream();
    stream.update("one\n\ntwo [a]", { complete: true });
    const blocks = stream.update("one\n\ntwo [a]\n\n[a]: https://example.com\n", { complete: true });
    expect(html(blocks)).toContain('href="https://example.com/"');
  });

  it("get late link definitions at the end, and the others stay", () => {
    const stream = new MarkdownStream();
    const text = "see [a]\n\nplain\n\n[a]: https://example.com\n\nend\n";
    const open = stream.update(text, { complete: false });
    const done = stream.update(text, { complete: true });
    expect(done[0]?.html).toContain("<a ");
    expect(done[1]).toBe(open[1]);
  });

  it("show what is nested too deep as it was written", () => {
    const deep = ">".repeat(20_000);
    expect(html(renderMarkdown(deep))).toContain('class="raw"');
    expect(html(new MarkdownStream().update(deep, { complete: false }))).toContain("&gt;&gt;");
  });
});

describe("the cost of one more line", () => {
  /** How many characters were lexed during `work`. */
  function lexed(work: () => void): number {
    const spy = vi.spyOn(Lexer.prototype, "lex");
    work();
    const count = spy.mock.calls.reduce((sum, [text]) => sum + text.length, 0);
    spy.mockRestore();
    return count;
  }

  it("does not grow with the text", () => {
    const paragraph = `${"Some words. ".repeat(8)}\n\n- a\n- b\n\n\`\`\`js\ncode();\n\`\`\`\n\n`;
    const text = paragraph.repeat(Math.ceil(200_000 / paragraph.length));
    const stream = new MarkdownStream();
    stream.update(text, { complete: false });
    const cost = lexed(() => stream.update(`${text}one more line\n`, { complete: false }));
    expect(cost).toBeLessThan(400);
  });

  it("is nothing to lex inside a fence", () => {
    const text = `Look:\n\n\`\`\`rust\n${"let x = 1; // <b> & more\n".repeat(8_000)}`;
    const stream = new MarkdownStream();
    stream.update(text, { complete: false });
    let blocks: readonly Block[] = [];
    const cost = lexed(() => (blocks = stream.update(`${text}let y = 2;\n`, { complete: false })));
    expect(cost).toBe(0);
    expect(blocks.at(-1)?.html).toMatch(/let y = 2;<\/code><\/pre>$/);
    expect(html(blocks)).toBe(html(renderMarkdown(`${text}let y = 2;\n`)));
  });

  it("is a small multiple of the text over a whole answer, line by line", () => {
    const next = random(3);
    const text = Array.from({ length: 60 }, () => someDocument(PIECES, next)).join("\n");
    const lines = text.split(/(?<=\n)/);
    const stream = new MarkdownStream();
    let sum = 0;
    let sofar = "";
    for (const line of lines) {
      sofar += line;
      sum += lexed(() => stream.update(sofar, { complete: false }));
    }
    expect(sum).toBeLessThan(40 * text.length);
  });
});
