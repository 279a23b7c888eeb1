import { lineEnd } from "./fence";
import { mendInline } from "./mendInline";

/** The markers of containers at the beginning of a line: quotes, list items, indentation. */
const CONTAINERS = /^[ \t]*(?:(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))[ \t]*)*/;
/** A last line that is nothing yet: a list marker, an underline, a quote or a heading without text, a row's beginning. */
const NOTHING_YET = /^(?:[-*+]|\d{1,9}[.)]|-+[ \t]*|=+[ \t]*|>|#{1,6}|\|)?[ \t]*$/;
/** The beginning of a task's box, up to the text that makes it one. */
const BOX = /^(?:[-*+]|\d{1,9}[.)])[ \t]+\[(?:[ xX]?|[ xX]\][ \t]*)$/;

/**
 * Makes a block that is still being written look as it probably will: closes emphasis and code, shows the label of a
 * link whose address is not complete, takes a table's first rows for a table, and hides markers that mark nothing yet.
 * Only for showing; the text itself stays as it is. `tail` is the source of the open block.
 */
export function mend(tail: string): string {
  const fence = openFence(tail);
  if (fence) return withoutPartOfClosing(tail, fence);
  const start = tail.lastIndexOf("\n") + 1;
  const line = tail.slice(start);
  const markers = CONTAINERS.exec(line)?.[0] ?? "";
  if (line !== "" && (NOTHING_YET.test(line.slice(markers.length)) || BOX.test(line.trimStart()))) {
    // The marker of an item stays: it is what ends the item before.
    const isItem = /[-*+.)][ \t]*$/.test(markers);
    return isItem ? tail.slice(0, start + markers.length).trimEnd() : mend(tail.slice(0, start));
  }
  const from = lastRegion(tail);
  const region = tail.slice(from);
  return tail.slice(0, from) + (asTable(region) ?? mendInline(region));
}

interface Fence {
  character: string;
  length: number;
}

/** The fence that is open at the end of the tail, at whatever depth. */
function openFence(tail: string): Fence | null {
  let open: Fence | null = null;
  for (let start = 0; start < tail.length; start = lineEnd(tail, start) + 1) {
    const line = tail.slice(start, lineEnd(tail, start));
    const text = line.slice(CONTAINERS.exec(line)?.[0].length ?? 0);
    const marker = /^(?:`{3,}(?=[^`]*$)|~{3,})/.exec(text)?.[0];
    if (!marker) continue;
    const character = marker.charAt(0);
    if (!open) open = { character, length: marker.length };
    else if (character === open.character && marker.length >= open.length && marker === text.trimEnd())
      open = null;
  }
  return open;
}

function withoutPartOfClosing(tail: string, { character, length }: Fence): string {
  const start = tail.lastIndexOf("\n") + 1;
  const line = tail.slice(start).trim();
  const isPart = line !== "" && line.length < length && line === character.repeat(line.length);
  return isPart ? tail.slice(0, start) : tail;
}

function hasMarker(markers: string): boolean {
  return markers.trim() !== "";
}

/** Where the text begins in which an emphasis or a link at the end of the tail can have begun. */
function lastRegion(tail: string): number {
  const end = tail.trimEnd().length;
  let start = tail.lastIndexOf("\n", end - 1) + 1;
  for (;;) {
    const line = tail.slice(start, lineEnd(tail, start));
    const markers = CONTAINERS.exec(line)?.[0] ?? "";
    const heading = /^#{1,6}[ \t]+/.exec(line.slice(markers.length))?.[0].length ?? 0;
    if (hasMarker(markers) || heading > 0) return start + markers.length + heading;
    const before = tail.lastIndexOf("\n", start - 2) + 1;
    if (start === 0 || tail.slice(before, start).trim() === "") return start;
    start = before;
  }
}

/** A table of which only the header, or a part of the line below it, is there: the line below is made up. */
function asTable(region: string): string | null {
  const lines = region.trimEnd().split("\n");
  const [header = "", below = ""] = lines;
  if (!/^[ \t]*\|.*\|[ \t]*$/.test(header) || lines.length > 2 || !/^[ \t|:-]*$/.test(below)) {
    return lines.length > 2 && header.includes("|") ? mendRow(region) : null;
  }
  const columns = header
    .trim()
    .slice(1, -1)
    .split(/(?<!\\)\|/).length;
  return `${header}\n|${"---|".repeat(columns)}\n`;
}

/** In a table, emphasis ends with its cell. */
function mendRow(region: string): string {
  const cell = Math.max(region.lastIndexOf("|"), region.lastIndexOf("\n")) + 1;
  return region.slice(0, cell) + mendInline(region.slice(cell));
}
