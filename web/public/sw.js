// The service worker: opens the chat when the server is away, keeps files that never change, and brings people back to
// the chat from a notification. Answers, questions and everything else under /api never pass through it.

// A build writes the hash of its files here, so that each one has a worker and a cache of its own (vite.plugins.ts).
const BUILD = "dev";
const CACHE = `paliadin-${BUILD}`;
const PAGE = "/paliadin";
const APP = "/paliadin/app/";
const ASSETS = "/paliadin/app/assets/";

// The page and what it loads first are kept together: a page of one build with the files of another does not start.
self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(
    keepFirstLoad().catch(() => {
      // Not signed in, or no network: they are kept when they are next loaded.
    }),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOtherBuilds().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate" && url.pathname === PAGE) {
    event.respondWith(networkFirst(event, PAGE));
  } else if (url.pathname.startsWith(ASSETS)) {
    event.respondWith(cacheFirst(event, request));
  } else if (url.pathname.startsWith(APP) && request.mode !== "navigate") {
    event.respondWith(networkFirst(event, request));
  }
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.url));
});

async function keepFirstLoad() {
  const cache = await caches.open(CACHE);
  const page = await fetch(PAGE, { cache: "no-cache" });
  if (!isWorthKeeping(page)) return;
  const files = (await page.clone().text()).match(/\/paliadin\/app\/[\w./-]+/g) ?? [];
  await cache.addAll(new Set(files));
  await cache.put(PAGE, page);
}

async function dropOtherBuilds() {
  const others = (await caches.keys()).filter((name) => name.startsWith("paliadin-") && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
}

async function networkFirst(event, key) {
  try {
    const response = await fetch(event.request);
    keep(event, key, response);
    return response;
  } catch (error) {
    const kept = await caches.match(key);
    if (kept) return kept;
    throw error;
  }
}

async function cacheFirst(event, key) {
  const kept = await caches.match(key);
  if (kept) return kept;
  const response = await fetch(event.request);
  keep(event, key, response);
  return response;
}

// Never a refusal (401), a redirect, or a part.
function isWorthKeeping(response) {
  return response.status === 200 && response.type === "basic" && !response.redirected;
}

function keep(event, key, response) {
  if (!isWorthKeeping(response)) return;
  const copy = response.clone();
  const kept = caches.open(CACHE).then((cache) => cache.put(key, copy));
  // A full disk is no reason to fail the request.
  event.waitUntil(kept.catch(() => {}));
}

async function open(address) {
  const url = new URL(address ?? PAGE, self.location.origin);
  if (url.origin !== self.location.origin || url.pathname !== PAGE) return;
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const chats = windows.filter((client) => new URL(client.url).pathname === PAGE);
  const there = chats.find((client) => client.url === url.href);
  if (there) return there.focus();
  const moved = await chats[0]?.navigate(url.href).catch(() => null);
  return moved ? moved.focus() : self.clients.openWindow(url.href);
}
