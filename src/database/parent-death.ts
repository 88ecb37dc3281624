/**
 * A child dies with its parent even while it is stuck inside SQLite, where no JavaScript runs:
 * Linux kills it (`PR_SET_PDEATHSIG`, prctl(2)). Elsewhere a stuck child lives until its statement
 * ends and it sees the closed channel, or until the next start of the node removes it.
 */
import { openCLibrary } from "../base/c-library.ts";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
/** Ends this process at once if `parent` is not (or no longer) its parent. */
export function dieWithParent(parent: number): void {
  if (process.platform === "linux") setDeathSignal();
  // The parent may have died before the signal was set.
  if (process.ppid !== parent) process.exit(0);
}

function setDeathSignal(): void {
  const { prctl } = openCLibrary({
    prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  });
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}
