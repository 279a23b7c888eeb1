/** Text that is to stand in HTML, both as content and inside a double-quoted attribute. */

const REPLACEMENTS: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const replace = (character: string): string => REPLACEMENTS[character] ?? character;

/** Every character stands for itself, as in code. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, replace);
}

/**
 * Character references (`&copy;`, `&#8212;`) stay what they are, as Markdown outside code wants it; everything else
 * stands for itself. A reference cannot end a text or an attribute, so this is as safe as `escapeText`.
 */
export function escapeProse(text: string): string {
  return text.replace(/[<>"']|&(?!(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|\w+);)/g, replace);
}

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/**
 * Resolves the character references that matter in an address. The others stay literal text, which is why their
 * result has to go through `escapeText`: what was checked is then what the browser sees.
 */
export function decodeReferences(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|(amp|lt|gt|quot|apos));/g,
    (all, ten, hex, name) => {
      if (typeof name === "string") return NAMED[name] ?? all;
      const code = typeof ten === "string" ? Number.parseInt(ten, 10) : Number.parseInt(String(hex), 16);
      const isCharacter = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
      return isCharacter ? String.fromCodePoint(code) : "\uFFFD";
    },
  );
}
