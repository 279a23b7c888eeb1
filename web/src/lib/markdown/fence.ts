import { escapeText } from "./escape";
import { renderCode } from "./render";

/** The opening line of a code fence at the margin, complete with its line break. */
const OPENING = /^(`{3,}(?=[^`\n]*\n)|~{3,})([^\n]*)\n/;

/**
 * A code fence that is still being written. Code has no syntax to find, so the text is not lexed: new complete lines
 * are escaped and appended, and only the line that is being written is done again.
 */
export class OpenFence {
  private readonly closing: RegExp;
  private readonly partOfClosing: RegExp;
  private escaped = "";
  private lines = 0;

  private constructor(
    marker: string,
    private readonly info: string,
    /** Up to where the text was read, always the beginning of a line. */
    private position: number,
  ) {
    const character = marker.charAt(0);
    this.closing = new RegExp(`^ {0,3}${character}{${marker.length},} *$`);
    this.partOfClosing = new RegExp(`^ {1,3}$|^ {0,3}${character}+ *$`);
  }

  /** A fence that opens at `start`, or `null` where none does. */
  static at(text: string, start: number): OpenFence | null {
    const head = text.slice(start, lineEnd(text, start) + 1);
    const opening = OPENING.exec(head);
    if (!opening) return null;
    return new OpenFence(opening[1] ?? "", (opening[2] ?? "").trim(), start + head.length);
  }

  /** Reads what was added to the text. Gives the end of the closing line once that line is complete. */
  read(text: string): number | null {
    for (let end = text.indexOf("\n", this.position); end !== -1; end = text.indexOf("\n", this.position)) {
      const line = text.slice(this.position, end);
      if (this.closing.test(line)) return end + 1;
      this.escaped += (this.lines > 0 ? "\n" : "") + escapeText(line);
      this.lines += 1;
      this.position = end + 1;
    }
    return null;
  }

  /** HTML of the code so far, not sanitised. What may become the closing line is not shown yet. */
  html(text: string): string {
    const rest = text.slice(this.position);
    if (rest === "" || this.partOfClosing.test(rest)) return renderCode(this.escaped, this.info);
    return renderCode(this.escaped + (this.lines > 0 ? "\n" : "") + escapeText(rest), this.info);
  }

  /** HTML of the code, closed, not sanitised. */
  closed(): string {
    return renderCode(this.escaped, this.info);
  }
}

/** Where the line that contains `position` ends: its line break, or the end of the text. */
export function lineEnd(text: string, position: number): number {
  const end = text.indexOf("\n", position);
  return end === -1 ? text.length : end;
}
