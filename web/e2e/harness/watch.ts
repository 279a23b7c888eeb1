/** Everything that a page did and should not have done. */

import type { BrowserContext } from "playwright-core";

export class Watch {
  readonly #origin: string;
  readonly #wrong: string[] = [];
  readonly #expected: RegExp[] = [];

  constructor(context: BrowserContext, origin: string) {
    this.#origin = origin;
    context.on("console", (message) => {
      if (message.type() !== "error") return;
      this.#wrong.push(`console: ${message.text()} (${message.location().url})`);
    });
    context.on("weberror", (thrown) => this.#wrong.push(`thrown: ${String(thrown.error().stack)}`));
    context.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith("http") && origin !== this.#origin) {
        this.#wrong.push(`request to another origin: ${request.url()}`);
      }
    });
  }

  /** Has every page of the context tell of what its content security policy stopped. */
  static async policy(context: BrowserContext): Promise<void> {
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy: ${event.violatedDirective} stopped ${event.blockedURI} ${event.sample}`);
      });
    });
  }

  /** What matches is part of the test, such as failing requests while the network is off. */
  expect(...patterns: RegExp[]): void {
    this.#expected.push(...patterns);
  }

  /** What went wrong and was not expected. */
  get wrong(): string[] {
    return this.#wrong.filter((text) => !this.#expected.some((pattern) => pattern.test(text)));
  }
}
