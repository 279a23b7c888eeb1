/** The end of the agent's program in words. */

import { m } from "../lib/i18n/index.svelte";
import type { Exit } from "./chat.svelte";

/** The server tells the reason in English (docs/protocol.md); what it can be is said in the page's language. */
export function tellExit({ reason, then }: Exit): string {
  const status = /exited with status (\d+)/.exec(reason)?.[1];
  const signal = /ended by signal (\d+)/.exec(reason)?.[1];
  let words = m().exited(reason);
  if (status !== undefined) words = m().exitStatus(status);
  else if (signal !== undefined) words = m().exitSignal(signal);
  else if (reason.includes("reset")) words = m().exitReset;
  else if (reason.includes("nobody had needed it")) words = m().exitIdle;
  return `${words} ${m().afterExit[then]}`;
}
