import { afterAll, expect, test } from "vitest";
import { settled, violations } from "./harness/axe";
import { tooSmall } from "./harness/layout";
import { tour } from "./harness/tour";
import { useWorld } from "./harness/world";

const world = useWorld();
const LOOKS = [
  { viewport: { width: 1200, height: 800 }, colorScheme: "light", locale: "en-GB" },
  { viewport: { width: 320, height: 640 }, colorScheme: "dark", locale: "de-DE" },
] as const;
const looked: string[] = [];

afterAll(() => console.info(looked.join("\n")));

test.for(LOOKS)(
  "axe finds nothing in any state: $viewport.width px, $colorScheme and the other, $locale",
  { timeout: 240_000 },
  async (look) => {
    const states: string[] = [];
    await tour(world, { ...look, reducedMotion: "reduce" }, async (chat, state) => {
      states.push(state);
      expect.soft(await violations(chat.page), state).toEqual([]);
      expect.soft(await tooSmall(chat.page), state).toEqual([]);
      const other = look.colorScheme === "light" ? "dark" : "light";
      await chat.page.emulateMedia({ colorScheme: other });
      expect.soft(await violations(chat.page, ["color-contrast"]), `${state}, ${other}`).toEqual([]);
      await chat.page.emulateMedia({ colorScheme: look.colorScheme });
      await settled(chat.page);
    });
    looked.push(`axe: ${states.length} states at ${look.viewport.width} px, light and dark`);
  },
);
