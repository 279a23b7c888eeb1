/** What can become of a request other than its answer. */

import type { ProblemBody } from "./wire";

/** A problem that the server answered; an answer that nobody can read counts as one, with the code `unreadable`. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  /** `retryable` is `null` where the server did not say; `retryAfterMs` is its `Retry-After`, in milliseconds. */
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly retryable: boolean | null = null,
    readonly retryAfterMs: number | null = null,
  ) {
    super(`${status} ${code}: ${detail}`);
  }
}

/** Nothing answered in time: no network, or no server. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** The code of answers that are none of the server's, such as a proxy's page. */
export const UNREADABLE = "unreadable";

/** Whether something between us and the server, or the server itself, says that it cannot answer now; or answers in its place. */
export function isAway(refusal: ApiError | null): boolean {
  if (refusal?.code === UNREADABLE && refusal.status < 400) return true;
  return refusal !== null && [502, 503, 504].includes(refusal.status) && refusal.retryable !== false;
}

/** The problem in an answer that is no success. `text` is its body. */
export function problem(response: Response, text: string): ApiError {
  const { status } = response;
  const wait = retryAfter(response.headers.get("Retry-After"), Date.now());
  try {
    const body = JSON.parse(text) as Partial<ProblemBody> | null;
    if (typeof body?.code === "string") {
      const retryable = typeof body.retryable === "boolean" ? body.retryable : null;
      return new ApiError(
        status,
        body.code,
        typeof body.detail === "string" ? body.detail : "",
        retryable,
        wait,
      );
    }
  } catch {
    // No JSON: see below.
  }
  return new ApiError(status, UNREADABLE, response.statusText, null, wait);
}

/** `Retry-After` in milliseconds from `now`: it is a number of seconds or a date. */
export function retryAfter(value: string | null, now: number): number | null {
  if (value === null || value.trim() === "") return null;
  const seconds = Number(value);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - now;
  return Number.isNaN(wait) ? null : Math.max(0, wait);
}
