import { expect, test } from "vitest";
import { Hand } from "./harness/agent";
import type { ChatPage } from "./harness/chat";
import { startProxy } from "./harness/proxy";
import { gone, seen } from "./harness/wait";
import { useWorld } from "./harness/world";

const world = useWorld();

interface Manifest {
  name: string;
  short_name: string;
  start_url: string;
  scope: string;
  display: string;
  icons: { src: string; sizes: string; type: string; purpose?: string }[];
}

/** Waits until the service worker answers for the page. */
async function controlled(chat: ChatPage): Promise<void> {
  await chat.page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    if (navigator.serviceWorker.controller) return;
    await new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done));
  });
}

test("the manifest is complete, and its icons are there", async () => {
  const chat = await world.open();
  const manifest = await chat.page.evaluate(async () => {
    const link = document.querySelector<HTMLLinkElement>("link[rel=manifest]");
    const response = await fetch(link!.href);
    return (await response.json()) as Manifest;
  });
  expect(manifest).toMatchObject({ name: "Paliadin", short_name: "Paliadin", display: "standalone" });
  expect(manifest.start_url).toBe("/paliadin");
  expect(manifest.scope).toBe("/paliadin");
  const sizes = new Set(manifest.icons.map((icon) => icon.sizes));
  expect(sizes.has("192x192") && sizes.has("512x512")).toBe(true);
  expect(manifest.icons.some((icon) => icon.purpose?.includes("maskable"))).toBe(true);
  for (const icon of manifest.icons.filter(({ type }) => type === "image/png")) {
    const size = await chat.page.evaluate(
      async (src) => {
        const bitmap = await createImageBitmap(await (await fetch(src)).blob());
        return `${bitmap.width}x${bitmap.height}`;
      },
      new URL(icon.src, `${world.server.origin}/paliadin/app/`).href,
    );
    expect(size).toBe(icon.sizes);
  }
  // What Chromium itself misses before it would install the page.
  const session = await chat.context.newCDPSession(chat.page);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  const missing = installabilityErrors.map(({ errorId }) => errorId);
  expect(missing.filter((id) => id !== "in-incognito")).toEqual([]);
});

test("a link on another site leads here, also by way of the service worker, and after a reload", async () => {
  const chat = await world.open();
  // The cookie does not go with a request that another site began.
  chat.watch.expect(/status of 401/, /another origin: http:\/\/elsewhere\.test\//);
  await controlled(chat);
  const page = `${world.server.origin}/paliadin`;
  await chat.page.route("http://elsewhere.test/**", (route) =>
    route.fulfill({ contentType: "text/html", body: `<a href="${page}">The chat</a>` }),
  );
  await chat.page.goto("http://elsewhere.test/");
  const [led] = await Promise.all([
    chat.page.waitForResponse((response) => response.url() === page),
    chat.page.getByRole("link").click(),
  ]);
  expect([200, 401]).toContain(led.status());
  const again = await chat.page.reload();
  expect([200, 401]).toContain(again?.status());
});

test("without a network the page opens, says so, and comes back by itself", async () => {
  const chat = await world.open();
  chat.watch.expect(/Failed to load resource/);
  await chat.askAndWait("!echo kept");
  await controlled(chat);
  await chat.context.setOffline(true);
  await chat.page.reload();
  await seen(chat.page.getByRole("heading", { name: chat.words.unreachable }));
  await chat.context.setOffline(false);
  await seen(chat.turn("!echo kept"));
});

test("a newer service worker takes over", async () => {
  let build = "older";
  const proxy = await startProxy("/paliadin/app/sw.js", (text) =>
    text.replace(/const BUILD = "[^"]*"/, `const BUILD = "${build}"`),
  );
  try {
    const chat = await world.open({ proxy: { server: proxy.address } });
    await controlled(chat);
    const kept = () => chat.page.evaluate(() => caches.keys());
    await expect.poll(kept).toEqual(["paliadin-older"]);
    build = "newer";
    await chat.page.reload();
    await expect.poll(kept).toEqual(["paliadin-newer"]);
    await chat.page.reload();
    await seen(chat.composer);
    await chat.askAndWait("!echo with the newer one");
  } finally {
    proxy.close();
  }
});

test("a long answer that ends while one looks elsewhere is told by a notification", async () => {
  const chat = await world.open({
    permissions: ["notifications"],
    // A page in a headless browser is never hidden.
    prepare: async (context) => {
      await context.addInitScript(() => {
        const look = { hidden: false };
        Object.assign(window, { look });
        Object.defineProperty(document, "hidden", { get: () => look.hidden });
        Object.defineProperty(document, "visibilityState", {
          get: () => (look.hidden ? "hidden" : "visible"),
        });
      });
    },
  });
  const { page } = chat;
  const hide = (hidden: boolean) =>
    page.evaluate((away) => {
      Object.assign((window as unknown as { look: object }).look, { hidden: away });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  const notices = () =>
    page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration("/paliadin");
      const shown = (await registration?.getNotifications()) ?? [];
      return shown.map(({ title, body, data }) => ({ title, body, data: data as { url: string } }));
    });
  await controlled(chat);
  const turn = await chat.ask("!hang");
  await chat.reaches("!hang", "working");
  // Offered where it has taken long already.
  const offer = chat.button(chat.words.notifyMe, turn);
  await offer.click();
  await gone(offer);
  await hide(true);
  new Hand(chat.server, chat.user.id, (await turn.getAttribute("data-turn"))!).finishes("At last.");
  await expect.poll(notices).toHaveLength(1);
  expect(await notices()).toEqual([
    { title: chat.words.notifyTitle, body: "!hang", data: { url: `/paliadin#${chat.sessionId}` } },
  ]);
  await hide(false);
  await chat.choose(chat.words.restartAgent);
  await chat.button(chat.words.restartAgent, chat.dialog).click();
  await gone(chat.dialog);
  await chat.askAndWait("!echo short");
  expect(await notices()).toHaveLength(1);
});
