import { defineConfig } from "vitest/config";

/** The browser tests: real Chromium, the real binary, the demo agent. They need both built (`make test` does). */
export default defineConfig({
  test: {
    include: ["e2e/**/*.test.ts"],
    environment: "node",
    // Each file has a server and a browser of its own; more than two at a time slow each other down.
    maxWorkers: 2,
    testTimeout: 150_000,
    hookTimeout: 150_000,
    expect: { poll: { timeout: 45_000, interval: 25 } },
  },
});
