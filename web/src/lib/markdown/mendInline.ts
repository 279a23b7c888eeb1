/** A label longer than this is no label: a bracket that was never meant to open a link. In characters. */
const MAX_LABEL = 200;

interface Opener {
  marker: string;
  /** Where it is in the output. */
  at: number;
}

/**
 * Closes what is open at the end of a paragraph's text: emphasis, code, links of which the label or a part of the
 * address is there. Markers at the very end that open nothing yet are hidden.
 */
export function mendInline(text: string): string {
  const end = text.trimEnd().length;
  const rest = text.slice(end);
  const atEnd = rest === "";
  let output = "";
  let open: Opener[] = [];
  let index = 0;
  while (index < end) {
    const character = text.charAt(index);
    if (character === "\\") {
      if (index + 1 < text.length) output += text.slice(index, index + 2);
      index += 2;
    } else if (character === "`") {
      const run = runLength(text, index);
      const close = closingTicks(text, index + run, run);
      if (close === -1) return output + unfinishedCode(text.slice(index, end), run) + closers(open) + rest;
      output += text.slice(index, close);
      index = close;
    } else if (character === "[" || (character === "!" && text.charAt(index + 1) === "[")) {
      const marker = character === "!" ? "![" : "[";
      if (end - index < MAX_LABEL && !text.slice(index, end).includes("\n")) {
        open.push({ marker, at: output.length });
      }
      output += marker;
      index += marker.length;
    } else if (character === "]") {
      const bracket = open.findLastIndex(({ marker }) => marker.endsWith("["));
      const from = open[bracket];
      const after = text.charAt(index + 1);
      if (from && ((atEnd && index + 1 === end) || after === "(")) {
        const close = after === "(" ? closingParenthesis(text, index + 1) : -1;
        const isWhole = close !== -1;
        if (!isWhole) return labelOnly(output, from) + closers(open.slice(0, bracket)) + rest;
        output += text.slice(index, close);
        index = close;
      } else {
        output += character;
        index += 1;
      }
      if (bracket !== -1) open = open.slice(0, bracket);
    } else if (character === "*" || character === "_" || character === "~") {
      const run = runLength(text, index);
      const kept = emphasis(text, index, run, end, open, output.length);
      output += kept;
      index += run;
    } else {
      output += character;
      index += 1;
    }
  }
  const bracket = open.find(({ marker }) => marker.endsWith("["));
  if (bracket && atEnd) {
    const inside = open.slice(open.indexOf(bracket) + 1);
    const outside = open.slice(0, open.indexOf(bracket));
    output = labelOnly(output, bracket) + closers(inside) + closers(outside);
  } else {
    output = output.trimEnd() + closers(open);
  }
  return output + rest;
}

/** Takes account of a run of `*`, `_` or `~`; gives what is to be written for it. */
function emphasis(text: string, at: number, run: number, end: number, open: Opener[], place: number): string {
  const character = text.charAt(at);
  const before = text.charAt(at - 1);
  const after = at + run < end ? text.charAt(at + run) : "";
  const inWord = character === "_" && isWord(before) && isWord(after);
  let left = run;
  if (before.trim() !== "" && !inWord) {
    for (let top = open.at(-1); top?.marker.startsWith(character) && left > 0; top = open.at(-1)) {
      // Half of a closing marker: the other half is written with the closers.
      if (after === "" && left < top.marker.length) return "";
      const used = Math.min(left, top.marker.length);
      top.marker = top.marker.slice(used);
      left -= used;
      if (top.marker === "") open.pop();
    }
  }
  if (left === 0) return text.slice(at, at + run);
  if (after === "") return text.slice(at, at + run - left);
  const opens =
    after.trim() !== "" && !(character === "_" && isWord(before)) && !isLoneTilde(character, left);
  if (opens && left <= 3 && left === run) open.push({ marker: character.repeat(left), at: place });
  return text.slice(at, at + run);
}

function isLoneTilde(character: string, length: number): boolean {
  return character === "~" && length > 2;
}

function isWord(character: string): boolean {
  return /[\p{L}\p{N}]/u.test(character);
}

/** What closes the openers, the last first. Brackets that are left stay as they are. */
function closers(open: readonly Opener[]): string {
  return open
    .filter(({ marker }) => !marker.endsWith("["))
    .map(({ marker }) => marker)
    .reverse()
    .join("");
}

/** The output without the bracket that opened a label. */
function labelOnly(output: string, { marker, at }: Opener): string {
  return output.slice(0, at) + output.slice(at + marker.length).trimEnd();
}

function runLength(text: string, from: number): number {
  const character = text.charAt(from);
  let to = from;
  while (text.charAt(to) === character) to += 1;
  return to - from;
}

/** Where the code span that `length` ticks opened ends, after its closing ticks; -1 if it is open. */
function closingTicks(text: string, from: number, length: number): number {
  for (let at = text.indexOf("`", from); at !== -1; at = text.indexOf("`", at)) {
    const run = runLength(text, at);
    at += run;
    if (run === length) return at;
  }
  return -1;
}

function unfinishedCode(code: string, ticks: number): string {
  const inside = code.slice(ticks).replace(/`+$/, "");
  if (inside.trim() === "") return "";
  return code.slice(0, ticks) + inside + "`".repeat(ticks);
}

/** Where a link's address, with its title, ends, after the parenthesis; -1 if it is open. */
function closingParenthesis(text: string, from: number): number {
  let depth = 0;
  let quote = "";
  for (let at = from; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === "\\") at += 1;
    else if (quote !== "") quote = character === quote ? "" : quote;
    else if ((character === '"' || character === "'") && /\s/.test(text.charAt(at - 1))) quote = character;
    else if (character === "(") depth += 1;
    else if (character === ")" && (depth -= 1) === 0) return at + 1;
  }
  return -1;
}
