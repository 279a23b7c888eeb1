/**
 * The one policy by which text becomes mark-up, where the browser enforces Trusted Types (the page's content security
 * policy asks for it and names this policy). Nothing but the sanitiser and the page's start may use it.
 */

interface Policy {
  createHTML(html: string): string;
  createScriptURL(url: string): string;
}

interface Factory {
  createPolicy(name: string, rules: Policy): Policy;
}

// TypeScript's own types do not know them yet.
const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const rules: Policy = { createHTML: (html) => html, createScriptURL: (url) => url };

/** Its results are objects of the browser, which pass for strings. */
export const policy: Policy = factory?.createPolicy("paliadin", rules) ?? rules;
