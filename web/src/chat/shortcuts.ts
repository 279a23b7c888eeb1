/** The page's keys. All but Escape need a modifier: single letters would get in the way of assistive technology. */

export type Action = "new" | "search" | "focus" | "stop" | "edit" | "copy" | "sidebar" | "help";

interface Shortcut {
  action: Action;
  /** `KeyboardEvent.code`: where the key is, whatever a modifier makes of its letter. */
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
  if (event.shiftKey || event.isComposing) return null;
  const mod = isMac() ? event.metaKey && !event.ctrlKey : event.ctrlKey && !event.metaKey;
  for (const shortcut of SHORTCUTS) {
    // The layout may have `/` elsewhere, as the German one does.
    const hit = event.code === shortcut.code || (shortcut.with === "mod" && event.key === shortcut.shown);
    const held =
      shortcut.with === "mod" ? mod && !event.altKey : event.altKey && !event.ctrlKey && !event.metaKey;
    if (hit && held) return shortcut.action;
  }
  return null;
}

/** The keys of an action, as they are written on the keyboard. */
export function keysOf(shortcut: Shortcut): string[] {
  const modifier = shortcut.with === "mod" ? (isMac() ? "⌘" : "Ctrl") : isMac() ? "⌥" : "Alt";
  return [modifier, shortcut.shown];
}
