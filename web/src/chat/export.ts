/** A conversation as one Markdown text. */

import { m } from "../lib/i18n/index.svelte";
import { lex } from "../lib/markdown/render";
import type { TurnRow } from "../lib/wire";
import { clock } from "./time";

export function asMarkdown(title: string, rows: readonly TurnRow[]): string {
  const parts = [`# ${title.trim().replaceAll(/\s+/g, " ")}`];
  for (const row of rows) {
    parts.push(`## ${m().you}, ${clock(row.queued_at)}`, quoted(row.user_message), `## ${m().agent}`);
    const answer = row.response ?? row.partial;
    if (answer) parts.push(closed(answer));
    if (row.state === "cancelled") parts.push(`*${m().stopped}*`);
    if (row.state === "failed")
      parts.push(`*${(m().errors[row.error_code ?? ""] ?? m().errors.unknown)?.[0]}*`);
  }
  return `${parts.join("\n\n")}\n`;
}

/** A question is no Markdown: as a quotation it cannot change what is around it. */
function quoted(text: string): string {
  return text
    .split(/\r\n?|\n/)
    .map((line) => `> ${line}`)
    .join("\n");
}

/** An answer that broke off inside of code: what follows must not become a part of it. */
function closed(answer: string): string {
  let last: string;
  try {
    last = lex(answer).at(-1)?.raw ?? "";
  } catch {
    // Nested deeper than any answer would be.
    return answer;
  }
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(last)?.[1];
  if (fence === undefined) return answer;
  const end = last.trimEnd().split("\n").slice(1).at(-1)?.trim() ?? "";
  return end.startsWith(fence) && end === fence.charAt(0).repeat(end.length) ? answer : `${answer}\n${fence}`;
}

/** Hands a text to the browser's downloads. */
export function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/markdown;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${
    name
      .replaceAll(/[^\p{L}\p{N}._-]+/gu, " ")
      .trim()
      .slice(0, 80) || "paliadin"
  }.md`;
  link.click();
  URL.revokeObjectURL(address);
}
