import { defineConfig } from "vitest/config";

/** Pictures of every state of the page, into `e2e/shots`: `npm run shots`. */
export default defineConfig({
  test: {
    include: ["e2e/shots.ts"],
    environment: "node",
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000, interval: 25 } },
  },
});
