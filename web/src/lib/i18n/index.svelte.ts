/** The page's language: what was chosen, else the browser's, else English. */

import { de } from "./de";
import { en, type Messages } from "./en";

export type { Messages };
export type Language = "en" | "de";
export type LanguageChoice = Language | "auto";

/** Where the choice is kept; public/theme.js reads it, too. */
export const LANGUAGE_KEY = "paliadin.lang";

const dictionaries: Record<Language, Messages> = { en, de };
const state = $state<{ choice: LanguageChoice }>({ choice: "auto" });

/** The language of these preferences (BCP 47 tags, best first). */
export function languageOf(preferences: readonly string[]): Language {
  for (const tag of preferences) {
    const base = tag.toLowerCase().split("-")[0];
    if (base === "de" || base === "en") return base;
  }
  return "en";
}

export function chosenLanguage(): LanguageChoice {
  return state.choice;
}

export function language(): Language {
  return state.choice === "auto" ? languageOf(navigator.languages ?? []) : state.choice;
}

export function chooseLanguage(choice: LanguageChoice): void {
  state.choice = choice;
  document.documentElement.lang = language();
}

/** The texts in the page's language. */
export function m(): Messages {
  return dictionaries[language()];
}
