/** A proxy between browser and server, for what a browser does not let its debugger change: service workers. */

import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Proxy {
  /** For the browser's settings. */
  address: string;
  close(): void;
}

/** Starts one. The text of the file at `path` goes through `change`; everything else passes as it is. */
export async function startProxy(path: string, change: (text: string) => string): Promise<Proxy> {
  const server = createServer((asked, answer) => {
    const url = new URL(asked.url ?? "");
    const isChanged = url.pathname === path;
    // A plain text is easier to change than a compressed one.
    const headers = { ...asked.headers, ...(isChanged ? { "accept-encoding": "identity" } : {}) };
    const onward = request(url, { method: asked.method, headers }, (given) => {
      if (isChanged) void changed(given, answer, change);
      else given.pipe(answer.writeHead(given.statusCode ?? 502, given.headers));
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function changed(
  given: IncomingMessage,
  answer: ServerResponse,
  change: (text: string) => string,
): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of given) pieces.push(piece as Buffer);
  const { "content-length": _, etag, ...headers } = given.headers;
  answer.writeHead(given.statusCode ?? 502, headers).end(change(Buffer.concat(pieces).toString()));
}
