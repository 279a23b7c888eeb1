/** Processes of a test, found by the test's directory in their arguments or environment. */

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { PATIENCE } from "./wait";

/** One process. */
export interface Process {
  pid: number;
  arguments: string[];
}

/** Every process that has this directory in its arguments or environment. A zombie has neither. */
export function processesOf(directory: string): Process[] {
  const found: Process[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const line = read(`/proc/${name}/cmdline`);
    if (line.includes(directory) || read(`/proc/${name}/environ`).includes(directory)) {
      found.push({ pid, arguments: line.split("\0").filter((part) => part !== "") });
    }
  }
  return found;
}

/** Whether a tmux server answers on this socket. */
export function tmuxAnswers(socket: string): boolean {
  try {
    execFileSync("tmux", ["-N", "-f", "/dev/null", "-S", socket, "list-sessions"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Ends the tmux server on this socket, and with it the agents, where there is one. */
export function endTmux(socket: string): void {
  try {
    execFileSync("tmux", ["-N", "-f", "/dev/null", "-S", socket, "kill-server"], {
      stdio: "ignore",
      timeout: PATIENCE,
    });
  } catch {
    // None is there, or it does not listen: whoever looks for what is left finds it.
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // It ended meanwhile, or is none of ours.
    return "";
  }
}
