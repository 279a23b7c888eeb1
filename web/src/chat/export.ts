/** A conversation as one Markdown text. */

import { m } from "../lib/i18n/index.svelte";
import type { TurnRow } from "../lib/wire";
import { clock } from "./time";

export function asMarkdown(title: string, rows: readonly TurnRow[]): string {
  const parts = [`# ${title.replaceAll("\n", " ")}`];
  for (const row of rows) {
    parts.push(`## ${m().you}, ${clock(row.queued_at)}`, quoted(row.user_message), `## ${m().agent}`);
    const answer = row.response ?? row.partial;
    if (answer) parts.push(answer);
    if (row.state === "cancelled") parts.push(`*${m().stopped}*`);
    if (row.state === "failed")
      parts.push(`*${(m().errors[row.error_code ?? ""] ?? m().errors.unknown)?.[0]}*`);
  }
  return `${parts.join("\n\n")}\n`;
}

/** A question is no Markdown: as a quotation it cannot change what is around it. */
function quoted(text: string): string {
  return text
    .split("\n")
    .map((line) => `> ${line}`)
    .join("\n");
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
