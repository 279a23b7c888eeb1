import { expect, test } from "vitest";
import type { ErrorCode } from "../wire";
import { de } from "./de";
import { en } from "./en";

/** The compiler sees to it that none is missing. */
const CODES: Record<ErrorCode, true> = {
  host_unreachable: true,
  shim_auth_failed: true,
  shim_error: true,
  timeout: true,
  tmux_unavailable: true,
  bootstrap_failed: true,
  agent_died: true,
  agent_crash_loop: true,
  upstream_error: true,
  upstream_silence: true,
  uncertain: true,
  disabled: true,
  cancelled: true,
  session_reset: true,
  queue_full: true,
  message_too_large: true,
  response_too_large: true,
  response_invalid: true,
  store_unavailable: true,
};

test.each(Object.keys(CODES))("%s is told in every language", (code) => {
  for (const words of [en, de]) {
    const [headline, advice] = words.errors[code] ?? [];
    expect(headline).toMatch(/\S.*\.$/);
    // Who stopped something knows what to do.
    if (code !== "cancelled") expect(advice).toMatch(/\S.*\.$/);
  }
  expect(de.errors[code]).not.toEqual(en.errors[code]);
});
