import type { Token } from "marked";

import { lineEnd, OpenFence } from "./fence";
import { mend } from "./mend";
import { lex, render, renderRaw } from "./render";
import type { LinkDefinitions } from "./render";
import { sanitiseEach } from "./sanitise";

/** A top-level block of an answer. */
export interface Block {
  /** Sanitised. */
  html: string;
}

/** The whole text at once. */
export function renderMarkdown(text: string): readonly Block[] {
  return sanitiseEach(renderWhole(normalise(text))).map((html) => ({ html }));
}

/**
 * Markdown that is still being written. Blocks that can no longer change are kept as they are; only what follows them
 * is lexed and rendered again.
 */
export class MarkdownStream {
  /** What was taken in, as it came. */
  private taken = "";
  /** The same with one kind of line break. */
  private text = "";
  /** Blocks that nothing that may follow can change, except link definitions. */
  private closed: Block[] = [];
  /** Up to where the text is in `closed`. */
  private position = 0;
  /** Definitions in the closed text. */
  private links: LinkDefinitions = {};
  /** The fence that opens at `position`, if one does. */
  private fence: OpenFence | null = null;
  /** What was given out last. */
  private shown: readonly Block[] = [];
  /** The HTML of each block before it was sanitised. */
  private readonly origins = new WeakMap<Block, string>();

  /**
   * The text so far (not a delta). Cheap when it only grew: closed blocks are kept as the same objects, only the open
   * tail is lexed and rendered again. A text that is another one altogether (`resync`) is rendered anew. When the text
   * is complete, late link definitions reach earlier blocks, too. Blocks whose HTML is the same stay the same objects.
   */
  update(text: string, options: { complete: boolean }): readonly Block[] {
    if (!text.startsWith(this.taken)) this.restart();
    const whole = withoutHalves(text);
    if (whole.length > this.taken.length) {
      this.text += normalise(whole.slice(this.taken.length));
      this.taken = whole;
    }
    this.shown = options.complete ? this.keep(renderWhole(normalise(text)), 0) : this.advance();
    return this.shown;
  }

  private restart(): void {
    this.taken = "";
    this.text = "";
    this.closed = [];
    this.position = 0;
    this.links = {};
    this.fence = null;
  }

  private advance(): readonly Block[] {
    for (;;) {
      this.fence ??= OpenFence.at(this.text, this.position);
      if (!this.fence) break;
      const end = this.fence.read(this.text);
      if (end === null) return this.withTail([this.fence.html(this.text)]);
      this.close([this.fence.closed()], end);
    }
    const tail = this.text.slice(this.position);
    let tokens: Token[] & { links: LinkDefinitions };
    try {
      tokens = lex(tail, this.links);
    } catch {
      return this.withTail([renderRaw(tail)]);
    }
    const [count, length] = closedPart(tokens, tail);
    if (count > 0) {
      const done = tokens.slice(0, count);
      const htmls = done.flatMap(renderSafely);
      for (const tag of definitionsIn(done)) {
        const link = tokens.links[tag];
        if (link) this.links[tag] ??= link;
      }
      this.close(htmls, this.position + length);
      return this.advance();
    }
    return this.withTail(renderTail(tokens, tail, this.links));
  }

  /** Adds blocks to the closed ones; the text up to `position` is in them. */
  private close(htmls: string[], position: number): void {
    this.closed.push(...this.keep(htmls, this.closed.length));
    this.position = position;
    this.fence = null;
  }

  private withTail(htmls: string[]): readonly Block[] {
    return [...this.closed, ...this.keep(htmls, this.closed.length)];
  }

  /** Sanitises; blocks that have the same HTML as what was shown at their place before are the same objects. */
  private keep(htmls: string[], at: number): Block[] {
    const before = htmls.map((html, index): Block | string => {
      const block = this.shown[at + index];
      return block && this.origins.get(block) === html ? block : html;
    });
    const clean = sanitiseEach(before.filter((block) => typeof block === "string")).values();
    return before.map((kept, index) => {
      if (typeof kept !== "string") return kept;
      const html = clean.next().value ?? "";
      const shown = this.shown[at + index];
      const block = shown?.html === html ? shown : { html };
      this.origins.set(block, kept);
      return block;
    });
  }
}

/** The text without the half of a line break or of a character at its end. */
function withoutHalves(text: string): string {
  const last = text.charCodeAt(text.length - 1);
  return last === 0x0d || (last >= 0xd800 && last <= 0xdbff) ? text.slice(0, -1) : text;
}

/** One kind of line break, no NUL. */
function normalise(text: string): string {
  const breaks = text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
  return breaks.includes("\0") ? breaks.replaceAll("\0", "\uFFFD") : breaks;
}

/** HTML of all blocks, not sanitised. */
function renderWhole(source: string): string[] {
  try {
    return lex(source).flatMap(renderSafely);
  } catch {
    // Nested deeper than any answer would be.
    return [renderRaw(source)];
  }
}

/** HTML of a block, not sanitised: one element, or none if the block shows nothing. */
function renderSafely(token: Token): string[] {
  let html: string;
  try {
    html = render(token);
  } catch {
    html = renderRaw(token.raw);
  }
  return html === "" ? [] : [html];
}

/** HTML of blocks of which the last is still being written, not sanitised. */
function renderTail(tokens: Token[], tail: string, links: LinkDefinitions): string[] {
  const last = tokens.findLastIndex((token) => token.type !== "space");
  if (last === -1) return [];
  const before = tokens.slice(0, last);
  const start = before.reduce((length, token) => length + token.raw.length, 0);
  const source = tail.slice(start);
  const mended = mend(source);
  if (mended === source) return tokens.flatMap(renderSafely);
  return [...before, ...lex(mended, { ...links })].flatMap(renderSafely);
}

/**
 * How many blocks at the beginning of the tail are closed, and how long their text is.
 *
 * A block is closed when a later one begins whose first line is complete, and the two are kept apart by a blank line or
 * by a line that nothing else can be part of. Lists and indented code go on over blank lines, but which lines belong to
 * them depends on nothing after those lines.
 */
function closedPart(tokens: readonly Token[], tail: string): [count: number, length: number] {
  let found: [number, number] = [0, 0];
  let start = 0;
  for (const [index, token] of tokens.entries()) {
    if (!tail.startsWith(token.raw, start)) break;
    if (lineEnd(tail, start) === tail.length) break;
    if (index > 0 && token.type !== "space" && beginsAnew(token, tail, start)) found = [index, start];
    start += token.raw.length;
  }
  return found;
}

function beginsAnew(token: Token, tail: string, start: number): boolean {
  if (tail.charAt(start - 1) !== "\n") return false;
  const before = tail.slice(tail.lastIndexOf("\n", start - 2) + 1, start - 1);
  if (/^[ \t]*$/.test(before)) return true;
  return (
    /^ {0,3}(?:#{1,6}[ \t]|~~~|```)/.test(token.raw) && (token.type === "heading" || token.type === "code")
  );
}

/** The labels of the link definitions in these blocks, at any depth. */
function definitionsIn(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token) => {
    if (token.type === "def" && "tag" in token && typeof token.tag === "string") return [token.tag];
    if ("items" in token && Array.isArray(token.items)) return definitionsIn(token.items as Token[]);
    return "tokens" in token && token.tokens ? definitionsIn(token.tokens) : [];
  });
}
