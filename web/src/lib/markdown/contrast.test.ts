import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const CSS = readFileSync(`${import.meta.dirname}/../../styles/markdown.css`, "utf8");

/** The colours that a rule sets. */
function palette(selector: string): Map<string, string> {
  const start = CSS.indexOf(`${selector} {`);
  const rule = CSS.slice(start, CSS.indexOf("}", start));
  return new Map(
    [...rule.matchAll(/--code-([\w-]+): (#[\da-f]{6})/g)].map((match) => [match[1] ?? "", match[2] ?? ""]),
  );
}

/** Relative luminance as WCAG 2.2 defines it. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

describe("the colours of code", () => {
  it.each(["\n:root", '[data-theme="dark"]', ':root:not([data-theme="light"])'])(
    "%s can be read",
    (selector) => {
      const colours = palette(selector);
      expect(colours.size).toBe(13);
      for (const [name, colour] of colours) {
        if (name.endsWith("bg")) continue;
        const background = colours.get(`${name}-bg`) ?? colours.get("bg") ?? "";
        expect(contrast(colour, background), name).toBeGreaterThanOrEqual(4.5);
      }
    },
  );

  it("are the same in both dark rules", () => {
    expect(palette('[data-theme="dark"]')).toEqual(palette(':root:not([data-theme="light"])'));
  });
});
