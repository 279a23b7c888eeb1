/** A network between browser and server that a test can cut, silence, or slow down. */

import { connect, createServer, type AddressInfo, type Server as Listener, type Socket } from "node:net";
import type { Server } from "./server";

/** `silent`: connections stay open and nothing comes through any more, as with a modem that is gone. */
type Way = "open" | "silent" | "slow";

export class Network {
  /** The server's address as the browser has it. */
  readonly origin: string;
  readonly #listener: Listener;
  readonly #pairs = new Set<Pair>();
  #way: Way = "open";
  #isCut = false;

  private constructor(listener: Listener, host: string, server: Server) {
    this.#listener = listener;
    this.origin = `http://${host}:${(listener.address() as AddressInfo).port}`;
    listener.on("connection", (near) => this.#accept(near, server));
  }

  /** On the server's own address, with another port: so its name, and the cookie's, is the same. */
  static async before(server: Server): Promise<Network> {
    const host = new URL(server.origin).hostname;
    const listener = createServer();
    await new Promise<void>((ready) => listener.listen(0, host, ready));
    return new Network(listener, host, server);
  }

  /** Every connection breaks, and no new one comes about. */
  cut(): void {
    this.#isCut = true;
    for (const pair of this.#pairs) pair.destroy();
  }

  /** Nothing comes through any more, and nobody is told. New connections are the same. */
  silence(): void {
    this.#set("silent");
  }

  /** One byte at a time to the browser. */
  slow(): void {
    this.#set("slow");
  }

  /** New connections work again. Silent ones stay dead: the other side has forgotten them. */
  mend(): void {
    this.#isCut = false;
    this.#way = "open";
    for (const pair of this.#pairs) if (pair.way === "slow") pair.way = "open";
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#pairs.size;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((closed) => this.#listener.close(closed));
  }

  #set(way: Way): void {
    this.#way = way;
    for (const pair of this.#pairs) pair.way = way;
  }

  #accept(near: Socket, server: Server): void {
    if (this.#isCut) return void near.destroy();
    const { hostname, port } = new URL(server.origin);
    const pair = new Pair(near, connect(Number(port), hostname), this.#way);
    this.#pairs.add(pair);
    near.on("close", () => this.#pairs.delete(pair));
  }
}

/** A connection of the browser, and the one to the server that belongs to it. */
class Pair {
  way: Way;
  readonly #near: Socket;
  readonly #far: Socket;

  constructor(near: Socket, far: Socket, way: Way) {
    this.way = way;
    this.#near = near.setNoDelay();
    this.#far = far.setNoDelay();
    void this.#carry(near, far);
    void this.#carry(far, near);
  }

  destroy(): void {
    this.#near.destroy();
    this.#far.destroy();
  }

  async #carry(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        if (this.way === "silent") continue;
        if (this.way === "slow" && to === this.#near) await this.#byteByByte(piece);
        else to.write(piece);
      }
      if (this.way !== "silent") to.end();
    } catch {
      if (this.way !== "silent") to.destroy();
    }
  }

  async #byteByByte(piece: Buffer): Promise<void> {
    for (let at = 0; at < piece.length; at += 1) {
      if (this.way !== "slow") return void this.#near.write(piece.subarray(at));
      this.#near.write(piece.subarray(at, at + 1));
      await new Promise((passed) => setImmediate(passed));
    }
  }
}
