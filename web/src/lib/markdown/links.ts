/** Which addresses an answer may point to, and what its chips mean. Everything else stays text. */

/** What a chip does: `ask` sends a text as the next message, `go` navigates to a path of the page's own site. */
export type Chip = { kind: "ask"; text: string } | { kind: "go"; path: string };

/** `ask` without a text of its own: the label is what is asked. */
export type ChipTarget = { kind: "ask"; text: string | null } | { kind: "go"; path: string };

// A path means the same on every http(s) site, so any origin will do, and none need be at hand.
const SOME_SITE = "https://site.invalid";
// The control characters of ASCII and Latin-1, and the separators that some programs take for line breaks.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
// Line breaks and tabs belong to a message.
const CONTROL_IN_MESSAGE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;

/** The address in the browser's own spelling if it leads to a web page or a mailbox; else `null`. */
export function externalAddress(address: string): string | null {
  if (!/^(?:https?:\/\/|mailto:)[^\s\\]+$/i.test(address) || CONTROL.test(address)) return null;
  try {
    const url = new URL(address);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** What a `chip:` address asks for; `null` for other addresses and for chips that cannot be trusted. */
export function chipTarget(address: string): ChipTarget | null {
  if (address === "chip:ask" || address === "chip:ask/") return { kind: "ask", text: null };
  if (address.startsWith("chip:ask/")) {
    const text = percentDecoded(address.slice("chip:ask/".length));
    if (text === null || text.trim() === "" || CONTROL_IN_MESSAGE.test(text)) return null;
    return { kind: "ask", text };
  }
  if (!address.startsWith("chip:go/")) return null;
  const path = ownPath(address.slice("chip:go".length));
  return path === null ? null : { kind: "go", path };
}

/** The path in the browser's own spelling if it stays on the site, read once and read again decoded; else `null`. */
export function ownPath(path: string): string | null {
  const decoded = percentDecoded(path);
  if (decoded === null || staysHere(decoded) === null) return null;
  return staysHere(path);
}

function staysHere(path: string): string | null {
  if (!/^\/(?!\/)/.test(path) || path.includes("\\") || CONTROL.test(path)) return null;
  try {
    const url = new URL(path, SOME_SITE);
    const same = url.pathname + url.search + url.hash;
    // `/a/..//host` becomes `//host`, which would be another site when it is read a second time.
    return url.origin === SOME_SITE && !same.startsWith("//") ? same : null;
  } catch {
    return null;
  }
}

function percentDecoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
