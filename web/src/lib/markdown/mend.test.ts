import { describe, expect, it } from "vitest";

import { mend } from "./mend";
import { lex, render } from "./render";

const shown = (source: string): string => lex(mend(source)).map(render).join("");

describe("mending the end of an open block", () => {
  it.each([
    ["closed emphasis stays", "a **b** *c* `d` [e](https://f.g)", "a **b** *c* `d` [e](https://f.g)"],
    ["bold", "a **bo", "a **bo**"],
    ["bold before a line break", "a **bo\n", "a **bo**\n"],
    ["bold before a space", "a **bo ", "a **bo** "],
    ["half of the closing marker", "a **bo*", "a **bo**"],
    ["a marker without text", "a **", "a"],
    ["slanted in bold", "**a *b", "**a *b***"],
    ["bold in slanted, one closed", "*a **b** c", "*a **b** c*"],
    ["both", "***a", "***a***"],
    ["underscores", "_a", "_a_"],
    ["underscores in a word", "snake_case_na", "snake_case_na"],
    ["struck out", "~~a", "~~a~~"],
    ["a product", "2 * 3", "2 * 3"],
    ["code", "run `ls -l", "run `ls -l`"],
    ["code with two ticks, half closed", "run ``a`b`", "run ``a`b``"],
    ["a tick without code", "run `", "run "],
    ["emphasis around code", "**run `ls", "**run `ls`**"],
    ["no emphasis in code", "`a **b` c", "`a **b` c"],
    ["an escape", "a \\*b", "a \\*b"],
    ["half an escape", "a \\", "a"],
    ["a label", "see [the pa", "see the pa"],
    ["a label with its bracket", "see [the page]", "see the page"],
    ["a part of an address", "see [the page](https://exa", "see the page"],
    ["a part of a title", 'see [it](https://a.b "ti', "see it"],
    ["an address with parentheses", "[it](https://a.b/c_(d", "it"],
    ["a picture", "![pic](https://a", "pic"],
    ["a link in bold", "**see [it](htt", "**see it**"],
    ["brackets that are no link", "array[0] is", "array[0] is"],
    ["the second of two links", "[a](https://b.c) [d](h", "[a](https://b.c) d"],
    ["a label that is none", `[${"long ".repeat(60)}`, `[${"long ".repeat(60)}`],
    ["emphasis of an earlier line of the paragraph", "**a\nb", "**a\nb**"],
    ["emphasis of an earlier paragraph", "- **a\n\n  b", "- **a\n\n  b"],
    ["emphasis of an earlier item", "- **a\n- b", "- **a\n- b"],
    ["a heading", "## **a", "## **a**"],
    ["a marker of a list", "- a\n-", "- a\n"],
    ["a number of a list", "1. a\n2.", "1. a\n"],
    ["what may become a list or a heading", "text\n-", "text\n"],
    ["what may become a heading", "text\n==", "text\n"],
    ["a finished underline", "text\n---\n", "text\n---\n"],
    ["a heading without text", "##", ""],
    ["a quote without text", "> a\n>", "> a\n"],
    ["a box of a task", "- [", "-"],
    ["a box with a cross", "- a\n- [x", "- a\n-"],
    ["a box without text", "- [ ] ", "-"],
    ["code in a fence", "```\n**a", "```\n**a"],
    ["a part of a closing fence", "```\na\n``", "```\na\n"],
    ["code in a fence in a list", "- a\n  ```js\n  x = `**y", "- a\n  ```js\n  x = `**y"],
    ["text after a fence in a list", "- a\n  ```js\n  x\n  ```\n  **b", "- a\n  ```js\n  x\n  ```\n  **b**"],
    ["a fence in a longer fence", "````\n```\n**a", "````\n```\n**a"],
    ["a header of a table", "| a | b |", "| a | b |\n|---|---|\n"],
    ["a header with an escaped bar", "| a \\| b |\n", "| a \\| b |\n|---|\n"],
    ["a part of the line below it", "| a | b |\n|--", "| a | b |\n|---|---|\n"],
    ["a part of a header", "| a | b", "| a | b"],
    ["emphasis in a cell", "| a | b |\n|---|---|\n| **x* | `y", "| a | b |\n|---|---|\n| **x* | `y`"],
    ["the beginning of a row", "| a | b |\n|---|---|\n|", "| a | b |\n|---|---|\n"],
    ["nothing", "", ""],
  ])("%s", (_name, source, mended) => {
    expect(mend(source)).toBe(mended);
  });

  it("does not show markers, whatever part of a sentence is there", () => {
    const text = "Some **bold *and slanted* words**, `co*de`, a [link](https://a.b/c_d*e) and ~~gone~~ text.";
    for (let end = 1; end <= text.length; end += 1) {
      const visible = shown(text.slice(0, end)).replace(/<[^>]*>/g, "");
      expect(
        visible.replace("co*de", "").replace("co*d", "").replace("co*", ""),
        text.slice(0, end),
      ).not.toMatch(/[*`~[\]()]/);
    }
  });

  it("takes nothing away that was shown, while a sentence grows", () => {
    const text = "Some **bold *and slanted* words**, `code`, a [link](https://a.b) and ~~gone~~ text.";
    let before = "";
    for (let end = 1; end <= text.length; end += 1) {
      const visible = shown(text.slice(0, end))
        .replace(/<[^>]*>/g, "")
        .trim();
      expect(visible.startsWith(before), `${before} → ${visible}`).toBe(true);
      before = visible;
    }
  });

  it("keeps the columns of a table from its header on", () => {
    const text = "| Name | Value |\n|:-----|------:|\n| **a** | 1 |\n";
    for (let end = text.indexOf("\n"); end <= text.length; end += 1) {
      expect(shown(text.slice(0, end)).match(/<th/g), text.slice(0, end)).toHaveLength(3);
    }
  });

  it("is done in time for a long text", () => {
    for (const piece of ["*a ", "[", "`", "**", "_a_", "![", "](", "> ", "\\", "| a ", "- x\n"]) {
      const start = performance.now();
      mend(piece.repeat(30_000));
      expect(performance.now() - start, piece).toBeLessThan(2_000);
    }
  });
});
