/** Ids that this side makes. */

let last = 0;

/**
 * A UUIDv7: such ids sort by the moment they were made, those of one page strictly. Made from `getRandomValues`, since
 * `crypto.randomUUID` is missing where the page came over plain HTTP from another host.
 */
export function uuid(): string {
  last = Math.max(Date.now(), last + 1);
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const time = last.toString(16).padStart(12, "0");
  const variant = "89ab"[(bytes[9] ?? 0) & 3];
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(0, 3)}-${variant}${hex.slice(3, 6)}-${hex.slice(6, 18)}`;
}
