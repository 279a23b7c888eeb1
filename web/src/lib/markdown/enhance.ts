import { policy } from "../trusted";
import { copyText } from "../copy";
import { highlight } from "./highlight";
import { ownPath } from "./links";
import type { Chip } from "./links";

/** What `enhance` says, in the reader's language. */
export interface Labels {
  copy: string;
  copied: string;
  table: string;
  /** The name of a piece of code; `lang` is empty where the answer names none. */
  code: (lang: string) => string;
}

/** How long a button says that it copied, in milliseconds. */
const SAID_FOR = 2_000;
/** A line of this many characters does not fit a phone, so its code scrolls. */
const LONG_LINE = 30;

/** Documents and shadow roots that are listened to. */
const listening = new WeakSet<Node>();

/**
 * Gives rendered Markdown what HTML alone has not: code gets a header with its language and a copy button, long code
 * can be scrolled with the keyboard, tables and task boxes get names. With `closed`, nothing below `root` is being
 * written any more and code is highlighted. May be called as often as one likes, also with other labels.
 */
export function enhance(root: HTMLElement, hooks: { labels: Labels; closed: boolean }): void {
  const { labels, closed } = hooks;
  listen(root);
  for (const pre of root.querySelectorAll<HTMLElement>("pre.code")) {
    const code = pre.querySelector("code");
    if (!code) continue;
    head(pre, labels);
    const text = code.textContent ?? "";
    if (text.split("\n").some((line) => line.length > LONG_LINE)) {
      code.tabIndex = 0;
      // `code` itself may not have a name.
      code.setAttribute("role", "group");
      code.setAttribute("aria-label", labels.code(pre.dataset["lang"] ?? ""));
    }
    if (closed) void colour(pre, code, text);
  }
  for (const table of root.querySelectorAll(".table")) table.setAttribute("aria-label", labels.table);
  // What a chip sends may be other words than those on it.
  for (const chip of root.querySelectorAll<HTMLElement>("button.chip")) {
    const means = chip.dataset["text"] ?? chip.dataset["path"] ?? "";
    if (means !== chip.textContent) chip.title = means;
  }
  for (const box of root.querySelectorAll("li.task input")) {
    const item = box.parentElement;
    if (item) box.setAttribute("aria-label", firstText(item));
  }
}

/** What a click on this element means: the chip it is on, or `null`. */
export function chipOf(target: EventTarget | null): Chip | null {
  const button = target instanceof Element ? target.closest<HTMLElement>("button.chip") : null;
  if (!button) return null;
  const { chip, text, path } = button.dataset;
  if (chip === "ask" && text) return { kind: "ask", text };
  const own = chip === "go" && path ? ownPath(path) : null;
  return own === null ? null : { kind: "go", path: own };
}

/** Adds the header, or brings its words up to date. */
function head(pre: HTMLElement, labels: Labels): void {
  let header = pre.querySelector<HTMLElement>(":scope > .code-head");
  if (!header) {
    header = part("span", "code-head");
    const button = part("button", "code-copy");
    button.type = "button";
    const said = part("span", "code-said");
    said.setAttribute("role", "status");
    header.append(part("span", "code-lang"), button, said);
    // Inside `pre`, whose place among its siblings belongs to the page.
    pre.prepend(header);
  }
  const lang = header.querySelector(".code-lang");
  if (lang) lang.textContent = pre.dataset["lang"] ?? "";
  const button = header.querySelector<HTMLElement>(".code-copy");
  if (!button) return;
  button.dataset["copied"] = labels.copied;
  button.dataset["copy"] = labels.copy;
  if (!button.hasAttribute("data-done")) button.textContent = labels.copy;
}

function part<Name extends "span" | "button">(name: Name, className: string): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  element.className = className;
  return element;
}

/** One listener for all copy buttons of a document. */
function listen(root: HTMLElement): void {
  const top = root.getRootNode();
  const place = top instanceof Document || top instanceof ShadowRoot ? top : root.ownerDocument;
  if (listening.has(place)) return;
  listening.add(place);
  place.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>(".code-copy") : null;
    const code = button?.closest("pre.code")?.querySelector("code");
    if (button && code) void copy(button, code.textContent ?? "");
  });
}

async function copy(button: HTMLElement, text: string): Promise<void> {
  if (!(await copyText(text))) return;
  const { copied = "", copy: label = "" } = button.dataset;
  const said = button.parentElement?.querySelector(".code-said");
  button.dataset["done"] = "";
  button.textContent = copied;
  if (said) said.textContent = copied;
  setTimeout(() => {
    delete button.dataset["done"];
    button.textContent = button.dataset["copy"] ?? label;
    if (said) said.textContent = "";
  }, SAID_FOR);
}

async function colour(pre: HTMLElement, code: HTMLElement, text: string): Promise<void> {
  if (pre.dataset["highlighted"] !== undefined) return;
  pre.dataset["highlighted"] = "";
  const html = await highlight(text, pre.dataset["lang"] ?? "");
  if (html === null || code.textContent !== text) return;
  const coloured = document.createElement("code");
  coloured.innerHTML = policy.createHTML(html);
  // Colours only: if a character were different, the plain code stays.
  if (coloured.textContent === text) code.replaceChildren(...coloured.childNodes);
}

/** The text of an item up to its first nested list. */
function firstText(item: Element): string {
  const copy = item.cloneNode(true) as Element;
  for (const list of copy.querySelectorAll("ul, ol, pre")) list.remove();
  return (copy.textContent ?? "").trim();
}
