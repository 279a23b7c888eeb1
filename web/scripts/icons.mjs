// Draws the icons in web/public from icon.svg, with Debian's Chromium: `npm run icons`. Their files are kept, so this
// runs only when the mark changes.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const folder = fileURLToPath(new URL("../public/", import.meta.url));
const mark = await readFile(join(folder, "icon.svg"), "utf8");

/** Behind the mark where the system cuts a shape out of the icon, so that nothing of it is cut off. */
const PAPER = "#e9ecfb";

const icons = [
    { file: "icon-192.png", size: 192, share: 1, paper: "transparent" },
    { file: "icon-512.png", size: 512, share: 1, paper: "transparent" },
    // What is inside 80 % of the width is never cut off (the manifest's safe zone).
    { file: "maskable-512.png", size: 512, share: 0.6, paper: PAPER },
    // iOS rounds the corners itself and paints what is transparent black.
    { file: "apple-touch-icon.png", size: 180, share: 0.72, paper: PAPER },
];

const profile = await mkdtemp(join(tmpdir(), "paliadin-icons-"));
const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
});
try {
    const page = await browser.newPage();
    for (const { file, size, share, paper } of icons) {
        await page.setViewportSize({ width: size, height: size });
        const width = Math.round(size * share);
        await page.setContent(
            `<style>html,body{margin:0;height:100%;background:${paper}}body{display:grid;place-items:center}
       svg{width:${width}px;height:${width}px}</style>${mark}`,
        );
        await writeFile(join(folder, file), await page.screenshot({ omitBackground: true }));
    }
} finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
}
