import { Lexer, Parser, Renderer, Tokenizer } from "marked";
import type { Links, MarkedOptions, Token, Tokens } from "marked";

import { decodeReferences, escapeProse, escapeText } from "./escape";
import { chipTarget, externalAddress } from "./links";

/** The addresses of reference links by their normalised labels. */
export type LinkDefinitions = Links;

/** The page has its own h1 and h2; an answer's headings go below them. */
const HEADING_SHIFT = 2;

/** Splits a text into top-level blocks. `known` are the link definitions of the text before it. */
export function lex(text: string, known: LinkDefinitions = {}): Token[] & { links: LinkDefinitions } {
  const lexer = new AnswerLexer({ gfm: true, breaks: true, tokenizer: new AnswerTokenizer() });
  Object.assign(lexer.tokens.links, known);
  return lexer.lex(text);
}

/** HTML of one top-level block, not yet sanitised; empty for blocks that show nothing. */
export function render(token: Token): string {
  const options: MarkedOptions = { gfm: true, breaks: true, renderer: new AnswerRenderer() };
  return new Parser(options).parse([token]).trim();
}

/** HTML of a text that is shown as it was written. */
export function renderRaw(text: string): string {
  return `<p class="raw" dir="auto">${escapeText(text)}</p>`;
}

/** HTML of a code block around code that is escaped already. `info` is what follows the fence's opening. */
export function renderCode(escaped: string, info: string): string {
  const lang = /^[A-Za-z0-9+#._-]{0,32}/.exec(info)?.[0] ?? "";
  return `<pre class="code" data-lang="${lang}"><code>${escaped}</code></pre>`;
}

/** Containers in containers beyond this are nobody's answer; the block is shown as it was written. */
const MAX_DEPTH = 40;

/** A link definition is not longer than this; further text is not looked at. In characters. */
const MAX_DEFINITION = 4_096;

/**
 * A paragraph, cell or item longer than this is shown without emphasis and links: finding them takes marked a time that
 * grows with the square of the length, and an answer must not be able to hold up the page. In characters.
 */
const MAX_INLINE = 10_000;

class AnswerTokenizer extends Tokenizer {
  /**
   * marked lets a definition's title run over blank lines, so that any later text could change an earlier block. Here it
   * ends with its paragraph, as CommonMark has it.
   */
  override def(source: string): Tokens.Def | undefined {
    if (!/^ {0,3}\[/.test(source)) return undefined;
    const near = source.slice(0, MAX_DEFINITION);
    const blank = /\n[ \t]*\n/.exec(near);
    const end = blank
      ? blank.index + blank[0].length
      : near === source
        ? near.length
        : near.lastIndexOf("\n") + 1;
    return super.def(near.slice(0, end));
  }
}

class AnswerLexer extends Lexer {
  override inlineTokens(source: string, tokens: Token[] = []): Token[] {
    if (source.length <= MAX_INLINE) return super.inlineTokens(source, tokens);
    tokens.push({ type: "text", raw: source, text: source });
    return tokens;
  }
}

class AnswerRenderer extends Renderer {
  /** In a container that finds the direction of its text by itself; it would not look into elements with a `dir`. */
  private contained = 0;
  private linked = false;

  override code({ text, lang }: Tokens.Code): string {
    return renderCode(escapeText(text.replace(/\n$/, "")), lang ?? "");
  }

  override blockquote({ tokens }: Tokens.Blockquote): string {
    return `<blockquote dir="auto">${this.within(tokens)}</blockquote>`;
  }

  override html({ text, block }: Tokens.HTML | Tokens.Tag): string {
    if (block) return renderRaw(text.replace(/\n+$/, ""));
    // The one tag that Markdown has no other word for: a line break in a table's cell.
    return /^<br ?\/?>$/i.test(text) ? "<br>" : escapeText(text);
  }

  override heading({ tokens, depth }: Tokens.Heading): string {
    const level = Math.min(depth + HEADING_SHIFT, 6);
    return `<h${level}${this.dir()}>${this.parser.parseInline(tokens)}</h${level}>`;
  }

  override hr(): string {
    return "<hr>";
  }

  override list({ ordered, start, items }: Tokens.List): string {
    const body = items.map((item) => this.listitem(item)).join("");
    if (!ordered) return `<ul>${body}</ul>`;
    return start === "" || start === 1 ? `<ol>${body}</ol>` : `<ol start="${start}">${body}</ol>`;
  }

  override listitem(item: Tokens.ListItem): string {
    return `<li${item.task ? ' class="task"' : ""} dir="auto">${this.within(item.tokens)}</li>`;
  }

  override checkbox({ checked }: Tokens.Checkbox): string {
    return `<input type="checkbox" disabled=""${checked ? ' checked=""' : ""}> `;
  }

  override paragraph({ tokens }: Tokens.Paragraph): string {
    return `<p${this.dir()}>${this.parser.parseInline(tokens)}</p>`;
  }

  override table({ header, rows }: Tokens.Table): string {
    const row = (cells: Tokens.TableCell[]): string =>
      `<tr>${cells.map((cell) => this.tablecell(cell)).join("")}</tr>`;
    const body = rows.length > 0 ? `<tbody>${rows.map(row).join("")}</tbody>` : "";
    return `<div class="table" tabindex="0" role="group"><table><thead>${row(header)}</thead>${body}</table></div>`;
  }

  override tablecell({ tokens, header, align }: Tokens.TableCell): string {
    const name = header ? "th" : "td";
    const side = align ? ` class="${align}"` : "";
    return `<${name}${side} dir="auto">${this.parser.parseInline(tokens)}</${name}>`;
  }

  override codespan({ text }: Tokens.Codespan): string {
    return `<code>${escapeText(text)}</code>`;
  }

  override link({ href, title, text, tokens, autolink }: Tokens.Link): string {
    const address = autolink ? href : decodeReferences(href);
    const chip = autolink || this.linked ? null : chipTarget(address);
    if (chip) {
      const label = plain(tokens).trim();
      if (label === "") return "";
      const data = chip.kind === "go" ? `data-path="${escapeText(chip.path)}"` : askData(chip.text, label);
      return `<button type="button" class="chip" data-chip="${chip.kind}" ${data}>${label}</button>`;
    }
    const outer = this.linked;
    const external = outer ? null : externalAddress(address);
    if (external !== null) this.linked = true;
    const label = autolink ? escapeText(text) : this.parser.parseInline(tokens);
    this.linked = outer;
    return external === null ? label : anchor(external, title, label || escapeText(external));
  }

  override image({ href, title, text, tokens }: Tokens.Image): string {
    const alt = (tokens ? plain(tokens) : escapeProse(text)).trim();
    const address = this.linked ? null : externalAddress(decodeReferences(href));
    if (address === null || address.startsWith("mailto:")) return alt;
    const host = `<span class="host">${escapeText(new URL(address).host)}</span>`;
    return anchor(address, title, alt ? `${alt} ${host}` : host, "image");
  }

  override text(token: Tokens.Text | Tokens.Escape): string {
    if ("tokens" in token && token.tokens) return this.parser.parseInline(token.tokens);
    // marked marks text between raw tags as escaped; here no tag is raw.
    return token.type === "escape" ? escapeText(token.text) : escapeProse(token.text);
  }

  private within(tokens: Token[]): string {
    this.contained += 1;
    if (this.contained > MAX_DEPTH) throw new RangeError("nested too deep");
    const html = this.parser.parse(tokens);
    this.contained -= 1;
    return html;
  }

  private dir(): string {
    return this.contained > 0 ? "" : ' dir="auto"';
  }
}

function anchor(address: string, title: string | null | undefined, label: string, kind = ""): string {
  const attributes = `${kind ? ` class="${kind}"` : ""}${title ? ` title="${escapeProse(title)}"` : ""}`;
  const safety = 'target="_blank" rel="noopener noreferrer nofollow"';
  return `<a href="${escapeText(address)}"${attributes} ${safety}>${label}</a>`;
}

function askData(text: string | null, label: string): string {
  return `data-text="${text === null ? label : escapeText(text)}"`;
}

/** The text of inline tokens, escaped, without any mark-up. */
function plain(tokens: Token[]): string {
  return tokens.map((token) => plainOf(token)).join("");
}

function plainOf(token: Token): string {
  if (token.type === "br") return " ";
  const children = "tokens" in token ? token.tokens : undefined;
  if (token.type === "text" && !children) return escapeProse(textOf(token));
  if (token.type === "link" && "autolink" in token && token.autolink) return escapeText(textOf(token));
  return children ? plain(children) : escapeText(textOf(token));
}

function textOf(token: Token): string {
  return "text" in token && typeof token.text === "string" ? token.text : token.raw;
}
