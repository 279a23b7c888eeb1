import { sanitiseCode } from "./sanitise";

/** Longer code stays plain: highlighting it would hold up the page. In characters. */
const MAX_CODE = 100 * 1024;

/**
 * Highlighted HTML of a piece of code, or null where the language is not known or the code is over 100 kB. Loads
 * highlight.js (core and some 40 common languages) on first use, as a chunk of its own. The HTML is sanitised, and its
 * text is the code.
 */
export async function highlight(code: string, lang: string): Promise<string | null> {
  if (lang === "" || code.length > MAX_CODE) return null;
  let highlighter;
  try {
    ({ highlighter } = await import("./languages"));
  } catch {
    // The network is away, or a new version replaced the chunk: the code stays readable without colours.
    return null;
  }
  if (!highlighter.getLanguage(lang)) return null;
  return sanitiseCode(highlighter.highlight(code, { language: lang, ignoreIllegals: true }).value);
}
