// Runs before the first paint, so that a theme that was chosen does not flash, and a screen reader starts in the right
// language. The chat writes both keys; without them the system's theme and the page's own language stand.
try {
  const root = document.documentElement;
  const theme = localStorage.getItem("paliadin.theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = localStorage.getItem("paliadin.lang");
  if (language === "en" || language === "de") root.lang = language;
} catch {
  // No storage (blocked by the browser): nothing was chosen.
}
