/**
 * A file for each child that runs, so that the next start of a node can remove children that
 * outlived a parent which was killed (where the kernel cannot do it for us). A number alone is not
 * proof: processes get the numbers of dead ones, so start time and command line must agree too.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processIdentity } from "./process-memory.ts";

const SUFFIX = ".child";

/** Notes a child that has just been started. */
export function noteChild(directory: string, pid: number): void {
  const identity = processIdentity(pid);
  if (identity) writeFileSync(join(directory, `${pid}${SUFFIX}`), identity.startedAt);
}

export function forgetChild(directory: string, pid: number): void {
  rmSync(join(directory, `${pid}${SUFFIX}`), { force: true });
}

/**
 * Makes the directory if need be and kills the children that its files name, if they still are
 * those children. Returns the numbers of those that were killed.
 */
export function removeLeftovers(directory: string): number[] {
  mkdirSync(directory, { recursive: true });
  const killed: number[] = [];
  for (const name of readdirSync(directory)) {
    if (!name.endsWith(SUFFIX)) continue;
    const path = join(directory, name);
    const pid = Number(name.slice(0, -SUFFIX.length));
    const identity = Number.isSafeInteger(pid) && pid > 1 ? processIdentity(pid) : null;
    if (
      identity?.startedAt === readFileSync(path, "utf8") && identity.command.includes("__child")
    ) {
      killIfThere(pid);
      killed.push(pid);
    }
    rmSync(path, { force: true });
  }
  return killed;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
