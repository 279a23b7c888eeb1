// What the build does beside Vite's own work, and how the development server stands in for the real one.
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Plugin } from "vite";

/** Bytes below which compressing is not worth a second file. */
const SMALL = 1024;
/** A compressed file that is larger than this part of the plain one is not worth it, either (pictures). */
const WORTH = 0.9;

/**
 * Finishes the bundle in `dist`: the service worker learns which build it belongs to, and larger files get a `.gz`
 * beside them, which the server sends to whoever takes it.
 */
export function finishBundle(): Plugin {
  let folder = "dist";
  return {
    name: "paliadin:finish-bundle",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    async writeBundle() {
      await nameBuild(folder);
      for (const file of await filesOf(folder)) {
        const plain = await readFile(file);
        if (plain.length < SMALL) continue;
        const compressed = await promisify(gzip)(plain, { level: 9 });
        if (compressed.length <= plain.length * WORTH) await writeFile(`${file}.gz`, compressed);
      }
    },
  };
}

/** A worker whose bytes changed is what makes browsers take the new one. */
async function nameBuild(folder: string): Promise<void> {
  const hash = createHash("sha256");
  for (const file of await filesOf(folder)) {
    hash.update(relative(folder, file)).update(await readFile(file));
  }
  const worker = join(folder, "sw.js");
  const unnamed = await readFile(worker, "utf8");
  const named = unnamed.replace(
    'const BUILD = "dev";',
    `const BUILD = "${hash.digest("hex").slice(0, 16)}";`,
  );
  if (named === unnamed) throw new Error("public/sw.js has no place for the name of the build");
  await writeFile(worker, named);
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * Serves the chat page of the development server where the real one has it. Who is not signed in gets the real
 * server's answer.
 */
export function developmentPage(server: string, base: string): Plugin {
  return {
    name: "paliadin:development-page",
    apply: "serve",
    configureServer(vite) {
      vite.middlewares.use((request, response, next) => {
        const [path, query] = (request.url ?? "").split("?", 2);
        if (request.method !== "GET" || path !== "/paliadin") return next();
        void refusal(server, request).then((refused) => {
          if (refused) return relay(refused, response);
          request.url = `${base}chat.html${query === undefined ? "" : `?${query}`}`;
          next();
        }, next);
      });
    },
  };
}

/** What the real server says to whom it does not let in; nothing where it does, or does not answer. */
async function refusal(server: string, request: IncomingMessage): Promise<Response | undefined> {
  const headers = new Headers();
  for (const name of ["accept", "accept-language", "cookie"]) {
    const value = request.headers[name];
    if (typeof value === "string") headers.set(name, value);
  }
  const answer = await fetch(`${server}/paliadin`, { headers }).catch(() => undefined);
  return answer?.ok === false ? answer : undefined;
}

async function relay(answer: Response, response: ServerResponse): Promise<void> {
  response.statusCode = answer.status;
  for (const name of ["content-type", "content-language", "content-security-policy", "cache-control"]) {
    const value = answer.headers.get(name);
    if (value !== null) response.setHeader(name, value);
  }
  response.end(await answer.text());
}
