/** What a reader chose for this browser: language, appearance, notifications. Kept in localStorage; tabs follow. */

import { chooseLanguage, LANGUAGE_KEY, type LanguageChoice } from "../lib/i18n/index.svelte";

export type Theme = "auto" | "light" | "dark";

const THEME_KEY = "paliadin.theme";
const NOTIFY_KEY = "paliadin.notify";

export const settings = $state<{ theme: Theme; language: LanguageChoice; notify: boolean }>({
  theme: "auto",
  language: "auto",
  notify: false,
});

function read(): void {
  const theme = stored(THEME_KEY);
  settings.theme = theme === "light" || theme === "dark" ? theme : "auto";
  const language = stored(LANGUAGE_KEY);
  settings.language = language === "en" || language === "de" ? language : "auto";
  settings.notify = stored(NOTIFY_KEY) === "yes";
  show();
}

function show(): void {
  const root = document.documentElement;
  if (settings.theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = settings.theme;
  chooseLanguage(settings.language);
}

/** Takes up what is stored, and what other tabs store from now on. */
export function startSettings(): void {
  read();
  addEventListener("storage", (event) => {
    if (event.key === null || [THEME_KEY, LANGUAGE_KEY, NOTIFY_KEY].includes(event.key)) read();
  });
}

export function setTheme(theme: Theme): void {
  settings.theme = theme;
  store(THEME_KEY, theme === "auto" ? null : theme);
  show();
}

export function setLanguage(language: LanguageChoice): void {
  settings.language = language;
  store(LANGUAGE_KEY, language === "auto" ? null : language);
  show();
}

export function setNotify(notify: boolean): void {
  settings.notify = notify;
  store(NOTIFY_KEY, notify ? "yes" : null);
}

/** Browsers may refuse storage altogether; then a choice lasts as long as the page. */
function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // See above.
  }
}
