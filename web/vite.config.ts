import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";
import { developmentPage, finishBundle } from "./vite.plugins.ts";

/** Where the server serves what is built here (src/http/pages). */
const base = "/paliadin/app/";
/** The server beside the development server (scripts/dev). */
const server = `http://${process.env["PALIADIN_LISTEN"] ?? "127.0.0.1:8717"}`;

export default defineConfig({
  base,
  plugins: [svelte(), svelteTesting({ autoCleanup: false }), finishBundle(), developmentPage(server, base)],
  server: {
    // Cookies belong to a name, whatever the port: who signed in at the server is signed in here.
    host: "127.0.0.1",
    port: 5173,
    strictPort: true,
    // `Host` and `Origin` go through as they are, so the server's checks are those of production.
    proxy: Object.fromEntries(
      ["/api", "/admin", "/paliadin/sign-in", "/healthz", "/readyz"].map((path) => [
        path,
        { target: server },
      ]),
    ),
  },
  build: {
    target: "es2022",
    // Small files stay files: the page's content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    rollupOptions: { input: { chat: "chat.html" } },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.ts"],
    restoreMocks: true,
    // A limit for what hangs: how fast things are is not for tests to say.
    testTimeout: 60_000,
  },
});
