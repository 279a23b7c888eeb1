import DOMPurify, { type Config } from "dompurify";

import { policy } from "../trusted";
import { escapeText } from "./escape";

/** The attributes of each element that `render.ts` makes; nothing else passes. */
const ELEMENTS: Readonly<Record<string, readonly string[]>> = {
  a: ["href", "title", "class", "target", "rel"],
  blockquote: ["dir"],
  br: [],
  button: ["type", "class", "data-chip", "data-text", "data-path"],
  code: [],
  del: [],
  div: ["class", "tabindex", "role"],
  em: [],
  h3: ["dir"],
  h4: ["dir"],
  h5: ["dir"],
  h6: ["dir"],
  hr: [],
  input: ["type", "disabled", "checked"],
  li: ["class", "dir"],
  ol: ["start"],
  p: ["class", "dir"],
  pre: ["class", "data-lang"],
  span: ["class"],
  strong: [],
  table: [],
  tbody: [],
  td: ["class", "dir"],
  th: ["class", "dir"],
  thead: [],
  tr: [],
  ul: [],
};

/** What the attributes with a closed set of values may say. */
const VALUES: Readonly<Record<string, RegExp>> = {
  class: /^(?:chip|code|host|image|raw|table|task|left|center|right)$/,
  "data-chip": /^(?:ask|go)$/,
  "data-lang": /^[A-Za-z0-9+#._-]{0,32}$/,
  "data-path": /^\/(?![/\\])[^\\]*$/,
  dir: /^auto$/,
  rel: /^noopener noreferrer nofollow$/,
  role: /^group$/,
  start: /^\d{1,9}$/,
  tabindex: /^0$/,
  target: /^_blank$/,
  type: /^(?:button|checkbox)$/,
};

const ATTRIBUTES = [...new Set(Object.values(ELEMENTS).flat())];

/** DOMPurify's types name those of the browser, which TypeScript does not have. */
const TRUSTED_TYPES_POLICY = policy as unknown as NonNullable<Config["TRUSTED_TYPES_POLICY"]>;

// Each one object: DOMPurify reads its rules again when it is handed another.
const ANSWER_RULES: Config = {
  TRUSTED_TYPES_POLICY,
  ALLOWED_TAGS: Object.keys(ELEMENTS),
  ALLOWED_ATTR: ATTRIBUTES,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  // DOMPurify takes every attribute for an address unless it is told that it is none.
  ADD_URI_SAFE_ATTR: ATTRIBUTES.filter((name) => name !== "href"),
};
const FRAGMENT_RULES = { ...ANSWER_RULES, RETURN_DOM_FRAGMENT: true } as const;
const CODE_RULES: Config = {
  TRUSTED_TYPES_POLICY,
  ALLOWED_TAGS: ["span"],
  ALLOWED_ATTR: ["class"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

// Two instances: a hook belongs to its instance, and code has other rules than answers.
const answers = DOMPurify();
const codes = DOMPurify();

if (answers.isSupported) {
  answers.addHook("uponSanitizeAttribute", (element, data) => {
    const allowed = ELEMENTS[element.nodeName.toLowerCase()]?.includes(data.attrName) ?? false;
    data.keepAttr = allowed && (VALUES[data.attrName]?.test(data.attrValue) ?? true);
  });
  answers.addHook("afterSanitizeAttributes", (element) => {
    const name = element.nodeName.toLowerCase();
    // What must be there is put there, whatever was written.
    if (name === "a" && element.hasAttribute("href")) {
      element.setAttribute("target", "_blank");
      element.setAttribute("rel", "noopener noreferrer nofollow");
    }
    if (name === "button") element.setAttribute("type", "button");
    if (name === "input") {
      element.setAttribute("type", "checkbox");
      element.setAttribute("disabled", "");
    }
  });
  codes.addHook("uponSanitizeAttribute", (_element, data) => {
    data.keepAttr = data.attrName === "class" && /^[\w -]{1,80}$/.test(data.attrValue);
  });
}

/**
 * The only way of HTML into the page: whatever is not on the list above goes. To be applied right before use.
 * Where the DOM does not let DOMPurify work (it finds some of them unsupported; happy-dom it does not find, and lets
 * everything pass), the mark-up is shown as text instead.
 */
export function sanitise(html: string): string {
  works ??= answers.isSupported && purified('<p class="x">a</p><b lang="c">b</b><i>d</i>') === "<p>a</p>bd";
  return works ? purified(html) : escapeText(html);
}

/**
 * Sanitises many pieces at once, each of which is one element: most of the time goes into the document that DOMPurify
 * makes for each call.
 */
export function sanitiseEach(htmls: readonly string[]): string[] {
  if (htmls.length > 1 && sanitise("<hr>") === "<hr>") {
    const nodes = [...answers.sanitize(htmls.join(""), FRAGMENT_RULES).childNodes];
    const elements = nodes.filter((node) => node instanceof Element);
    if (elements.length === nodes.length && nodes.length === htmls.length) {
      return elements.map((element) => element.outerHTML);
    }
  }
  return htmls.map(sanitise);
}

/** Whether sanitising does what it should in this DOM; found out on first use. */
let works: boolean | undefined;

function purified(html: string): string {
  return answers.sanitize(html, ANSWER_RULES);
}

/** The same for highlighted code: `span` with classes, and text. */
export function sanitiseCode(html: string): string {
  if (sanitise("<hr>") !== "<hr>") return escapeText(html);
  return codes.sanitize(html, CODE_RULES);
}
