/**
 * Keeps the keyboard's place: where the element that has the focus goes away (a button that did its work, a list that was
 * closed), the browser would begin again at the top of the page.
 */

/** `rescue` is called where the focus was lost, to put it elsewhere. Returns how to stop. */
export function keepFocus(root: HTMLElement, rescue: () => void): () => void {
  let last: Element | null = null;
  const onfocusin = (event: FocusEvent) => {
    last = event.target instanceof Element ? event.target : null;
  };
  const observer = new MutationObserver(() => {
    if (last === null || last.isConnected || document.activeElement !== document.body) return;
    last = null;
    rescue();
  });
  root.addEventListener("focusin", onfocusin);
  observer.observe(root, { childList: true, subtree: true });
  return () => {
    root.removeEventListener("focusin", onfocusin);
    observer.disconnect();
  };
}
