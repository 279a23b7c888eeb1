/** Tells the reader of something that happened while the page was hidden. */

import { settings } from "./settings.svelte";

/** An answer that took less than this is not worth a notification, in milliseconds. */
export const LONG = 10_000;

export function canNotify(): boolean {
  return typeof Notification !== "undefined" && isSecureContext;
}

/** Asks the browser's leave; true where it was given. */
export async function askLeave(): Promise<boolean> {
  if (!canNotify()) return false;
  if (Notification.permission === "default") await Notification.requestPermission();
  return Notification.permission === "granted";
}

/**
 * Shows a notification if the page is hidden and the reader wants them. Several tabs may do so for the same turn: the
 * browser keeps one for each `tag`.
 */
export async function notify(title: string, body: string, tag: string, url: string): Promise<void> {
  if (!document.hidden || !settings.notify || !canNotify() || Notification.permission !== "granted") return;
  const options: NotificationOptions = {
    body,
    tag,
    icon: `${import.meta.env.BASE_URL}icon-192.png`,
    data: { url },
  };
  try {
    // Phones show only those of a service worker.
    const worker = await navigator.serviceWorker?.getRegistration("/paliadin").catch(() => undefined);
    if (worker) {
      await worker.showNotification(title, options);
      return;
    }
    const notification = new Notification(title, options);
    notification.onclick = () => {
      window.focus();
      location.hash = new URL(url, location.href).hash;
      notification.close();
    };
  } catch (error) {
    // The page itself says the same.
    console.info("no notification:", error);
  }
}
