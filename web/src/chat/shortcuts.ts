/** The page's keys. All but Escape need a modifier: single letters would get in the way of assistive technology. */

export type Action = "new" | "search" | "focus" | "stop" | "edit" | "copy" | "sidebar" | "help";

interface Shortcut {
  action: Action;
  /** `KeyboardEvent.code`: where the key is, whatever Alt makes of its letter. */
  code: string;
  /** `mod` is Ctrl, and Command on a Mac. */
  with: "mod" | "alt";
  shown: string;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { action: "new", code: "KeyN", with: "alt", shown: "N" },
  { action: "search", code: "KeyK", with: "mod", shown: "K" },
  { action: "focus", code: "KeyI", with: "alt", shown: "I" },
  { action: "stop", code: "Period", with: "alt", shown: "." },
  { action: "edit", code: "KeyE", with: "alt", shown: "E" },
  { action: "copy", code: "KeyC", with: "alt", shown: "C" },
  { action: "sidebar", code: "KeyB", with: "alt", shown: "B" },
  { action: "help", code: "Slash", with: "mod", shown: "/" },
];

export function isMac(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.platform);
}

export function actionOf(event: KeyboardEvent): Action | null {
  if (event.isComposing) return null;
  const { altKey, ctrlKey, metaKey, shiftKey } = event;
  const mod = (isMac() ? metaKey && !ctrlKey : ctrlKey && !metaKey) && !altKey;
  // AltGr, with which people type, is Ctrl + Alt to some systems.
  const alt = altKey && !ctrlKey && !metaKey && !shiftKey;
  const found = SHORTCUTS.find((shortcut) =>
    shortcut.with === "mod" ? mod && isOn(shortcut, event) : alt && event.code === shortcut.code,
  );
  return found?.action ?? null;
}

/**
 * Whether this is the shortcut's key. Ctrl and Command leave the layout's own characters: the German layout has `/` on
 * Shift + 7, and on the key where others have it one that makes the page smaller. A place on the keyboard counts only
 * where the layout has none of our letters, as the Russian one.
 */
function isOn({ code, shown }: Shortcut, event: KeyboardEvent): boolean {
  if (event.shiftKey && /[A-Z]/.test(shown)) return false;
  if (event.key.toUpperCase() === shown) return true;
  return event.code === code && !event.shiftKey && !/^[\x20-\x7e]$/.test(event.key);
}

/** The keys of an action, as they are written on the keyboard. */
export function keysOf(shortcut: Shortcut): string[] {
  const modifier = shortcut.with === "mod" ? (isMac() ? "⌘" : "Ctrl") : isMac() ? "⌥" : "Alt";
  return [modifier, shortcut.shown];
}
