/** The real program with a state directory, a tmux socket and a database of its own. */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { endTmux, processesOf, tmuxAnswers } from "./processes";
import { readTyped, typedTwice, type Typed } from "./typed";
import { eventually, PATIENCE } from "./wait";

const PROGRAM = process.env.PALIADIN_BIN ?? resolve(import.meta.dirname, "../../../target/debug/paliadin");
const COOKIE = "paliadin_session";
let servers = 0;

/** A signed-in account. */
export interface User {
  id: string;
  email: string;
  /** The value of its cookie. */
  cookie: string;
}

export class Server {
  /** Everything of it lies here. */
  readonly root = mkdtempSync(join(tmpdir(), "paliadin-e2e-"));
  /** `http://127.x.y.z:port`; the same after a restart. */
  origin = "";
  readonly #env: Record<string, string>;
  #listen: string;
  #child: ChildProcess | null = null;
  #printed: string[] = [];

  /** `env` lies over the defaults of these tests. */
  constructor(env: Record<string, string> = {}) {
    // An address that no other test has: the port stays free while the server is away.
    servers += 1;
    this.#listen = `127.${(process.pid >> 8) & 255}.${process.pid & 255}.${servers}:0`;
    this.#env = env;
    mkdirSync(this.state, { mode: 0o700 });
    mkdirSync(join(this.root, "home"));
  }

  get state(): string {
    return join(this.root, "state");
  }

  /** What the server wrote to its log so far. */
  get log(): string {
    const path = join(this.root, "server.log");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** Starts it, again on the same address and state, and waits until it has said how to sign in. */
  async start(): Promise<void> {
    const child = spawn(PROGRAM, ["serve"], { env: this.#variables(), stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const printed: string[] = [];
    this.#printed = printed;
    createInterface({ input: child.stdout }).on("line", (line) => printed.push(line));
    child.stderr.on("data", (piece: Buffer) => appendFileSync(join(this.root, "server.log"), piece));
    const said = (words: string) =>
      eventually(`the server to print ${words}`, () => {
        if (child.exitCode !== null) throw new Error(`the server ended:\n${this.log}`);
        return printed.find((line) => line.includes(words));
      });
    this.origin = (await said("listening on ")).replace("listening on ", "").trim();
    this.#listen = new URL(this.origin).host;
    await said("or ask:");
  }

  /** The link that the server printed. It works once. */
  signInLink(): string {
    const line = this.#printed.find((printed) => printed.includes("sign in:"));
    return line?.replace("sign in:", "").trim() ?? "";
  }

  /** Ends it as a power failure would. */
  async kill9(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Stops it in good order. The agents stay, as they do over `kill9`. */
  async stop(): Promise<void> {
    const status = await this.#end("SIGTERM");
    if (status !== 0) throw new Error(`the server ended with ${status}`);
  }

  async restart(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await this.#end(signal);
    await this.start();
  }

  /** Runs a command of the program; gives what it printed. */
  cli(...args: string[]): string {
    return execFileSync(PROGRAM, args, { env: this.#variables(), encoding: "utf8" }).trim();
  }

  /** A new account with an agent session of its own, signed in without the link, which works only once. */
  user(email = `reader-${randomUUID().slice(0, 8)}@example.org`): User {
    const id = this.cli("user", "add", "--email", email);
    const cookie = randomBytes(32).toString("base64url");
    const hash = createHash("sha256").update(cookie).digest("hex");
    const now = Date.now();
    this.sql(
      `INSERT INTO web_sessions (hash, user_id, expires_at, last_seen_at, created_at, updated_at)
       VALUES ('${hash}', '${id}', ${now + 86_400_000}, ${now}, ${now}, ${now})`,
    );
    return { id, email, cookie };
  }

  /** Runs a statement on the database; gives the rows of a query. */
  sql<Row = Record<string, unknown>>(statement: string): Row[] {
    const database = join(this.state, "paliadin.db");
    const printed = execFileSync("sqlite3", ["-json", "-cmd", ".timeout 5000", database], {
      input: statement,
      encoding: "utf8",
      maxBuffer: 64 << 20,
    });
    return printed.trim() === "" ? [] : (JSON.parse(printed) as Row[]);
  }

  /** Asks the API as this user, past the page. */
  async api(user: User, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...init.headers, Cookie: `${COOKIE}=${user.cookie}` };
    return fetch(`${this.origin}/api/paliadin/${path}`, { ...init, headers });
  }

  /** Everything that was typed into this server's agents. */
  typed(): Typed[] {
    return readTyped(join(this.root, "typed.log"));
  }

  /** How often this message was typed. */
  timesTyped(message: string): number {
    return this.typed().filter((typed) => typed.message === message).length;
  }

  /** Ends everything. What it leaves behind is the error, but for the agents: they outlive a server in their tmux. */
  async close(): Promise<void> {
    const left: string[] = [];
    const tmux = join(this.state, "tmux", "server");
    if (this.#child) await this.stop().catch((error: unknown) => left.push(String(error)));
    endTmux(tmux);
    // Agents and tmux's clients go when they hear that it is gone; that may be a moment later.
    await eventually("every process to end", () => processesOf(this.root).length === 0 || undefined).catch(
      () =>
        left.push(...processesOf(this.root).map((one) => `process ${one.pid} ${one.arguments.join(" ")}`)),
    );
    for (const { pid } of processesOf(this.root)) process.kill(pid, "SIGKILL");
    if (tmuxAnswers(tmux)) left.push("a tmux server");
    left.push(...typedTwice(join(this.root, "typed.log")).map((turn) => `turn ${turn} was typed twice`));
    left.push(...this.#inputs().map((file) => `file ${file}`));
    if (left.length > 0) throw new Error(`left behind: ${left.join("; ")}\n${this.log}`);
    rmSync(this.root, { recursive: true });
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (!child) throw new Error("no server runs");
    this.#child = null;
    const ended = new Promise<number | null>((done) => child.once("exit", (status) => done(status)));
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    const status = await ended;
    clearTimeout(late);
    return status;
  }

  /** Files that the server handed to agents and did not take away again. */
  #inputs(): string[] {
    const spools = join(this.state, "spool");
    if (!existsSync(spools)) return [];
    const inputs = readdirSync(spools).map((name) => join(spools, name, "in"));
    return inputs.filter((path) => existsSync(path)).flatMap((path) => readdirSync(path));
  }

  #variables(): Record<string, string> {
    return {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      LANG: "C.UTF-8",
      HOME: join(this.root, "home"),
      PALIADIN_STATE_DIR: this.state,
      PALIADIN_LISTEN: this.#listen,
      PALIADIN_PROFILE: "demo",
      PALIADIN_AGENT__TYPED_LOG: join(this.root, "typed.log"),
      ...this.#env,
    };
  }
}
