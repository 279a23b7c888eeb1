import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Where the server serves what is built here (src/http/pages.rs).
  base: "/paliadin/app/",
  plugins: [svelte(), svelteTesting()],
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
  },
});
