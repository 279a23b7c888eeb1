/** Looks for everything that an answer must not be able to make a page do. */

import type { BrowserContext, Page } from "playwright-core";

/** What the chat page asks its own server for; a query is left out. */
const KNOWN = [
  /^\/paliadin$/,
  /^\/paliadin\/app\/(assets\/)?[\w.-]+$/,
  /^\/api\/paliadin\/(turn|history|conversations|status)$/,
  /^\/api\/paliadin\/(stream|turns|conversations)\/[0-9a-f-]{36}$/,
  /^\/api\/paliadin\/turns\/[0-9a-f-]{36}\/recover$/,
];

/** All that may be in an answer: no script, no frame, no form, no picture, nothing of another namespace. */
const ELEMENTS =
  "a blockquote br button code del div em h3 h4 h5 h6 hr input li ol p pre span strong table tbody td th thead tr ul";

/** Events for which mark-up could have a handler. */
const EVENTS =
  "animationend animationstart beforetoggle click error focus input load mouseenter mouseover pointerdown toggle";

export class Guard {
  readonly #wrong: string[] = [];
  readonly #origin: string;

  constructor(context: BrowserContext, origin: string) {
    this.#origin = origin;
    context.on("request", (request) => {
      const url = new URL(request.url());
      const isKnown = url.origin === origin && KNOWN.some((known) => known.test(url.pathname));
      if (!isKnown) this.#wrong.push(`request: ${request.method()} ${url.href.slice(0, 300)}`);
    });
    context.on("dialog", (dialog) => {
      this.#wrong.push(`dialog: ${dialog.type()} ${dialog.message()}`);
      void dialog.dismiss();
    });
    context.on("page", (page) => this.#watch(page));
    context.on("download", (download) => this.#wrong.push(`download: ${download.url()}`));
  }

  /** What happened, and what answers look like now, all of them or those in `within`; empty where all is well. */
  async wrong(page: Page, within = page.locator("body")): Promise<string[]> {
    return [...this.#wrong, ...(await within.evaluate(look, [ELEMENTS, EVENTS] as const))];
  }

  #watch(page: Page): void {
    page.on("framenavigated", (frame) => {
      const { origin, pathname } = new URL(frame.url());
      const isFirst = frame.url() === "about:blank";
      if (frame.parentFrame() || (!isFirst && (origin !== this.#origin || pathname !== "/paliadin"))) {
        this.#wrong.push(`navigated: ${frame.url().slice(0, 300)}`);
      }
    });
    page.on("popup", (popup) => this.#wrong.push(`popup: ${popup.url()}`));
  }
}

/** In the page: what answers must not contain; each of their elements gets the events that a handler may wait for. */
function look(root: Element, [elements, events]: readonly [string, string]): string[] {
  const wrong: string[] = [];
  const allowed = new Set(elements.split(" "));
  const stop = (event: Event) => event.preventDefault();
  const swallow = (event: Event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  // What a click does by itself (a link, a chip) is not in question here.
  addEventListener("click", stop, true);
  for (const element of root.querySelectorAll<HTMLElement>(".answer *")) {
    const { localName, namespaceURI } = element;
    if (!allowed.has(localName) || namespaceURI !== "http://www.w3.org/1999/xhtml") {
      wrong.push(`element: ${element.outerHTML.slice(0, 300)}`);
    }
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on") || name === "style" || name === "src" || name === "srcdoc" || name === "id") {
        wrong.push(`attribute: ${name}=${value}`);
      }
    }
    if (element instanceof HTMLAnchorElement && !/^(https?|mailto):$/.test(element.protocol)) {
      wrong.push(`link: ${element.href}`);
    }
    // Not up to the page, which would send what a chip says.
    element.addEventListener("click", swallow, { once: true });
    for (const name of events.split(" ")) element.dispatchEvent(new Event(name, { cancelable: true }));
    element.removeEventListener("click", swallow);
  }
  removeEventListener("click", stop, true);
  // Titles, questions and prompts are elsewhere.
  for (const element of root.querySelectorAll("*")) {
    const handler = element.getAttributeNames().find((name) => name.startsWith("on"));
    if (handler !== undefined || element.matches("script, iframe, object, embed, base, meta, link, img")) {
      wrong.push(`in the page: ${element.outerHTML.slice(0, 300)}`);
    }
  }
  if ("__xss" in window) wrong.push(`a script ran: ${String((window as { __xss?: unknown }).__xss)}`);
  return wrong;
}
