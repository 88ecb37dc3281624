/**
 * A child dies with its parent even while it is stuck inside SQLite, where no JavaScript runs:
 * Linux kills it (`PR_SET_PDEATHSIG`, prctl(2)). Elsewhere a stuck child lives until its statement
 * ends and it sees the closed channel, or until the next start of the node removes it.
 */
import { dlopen } from "bun:ffi";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
/** glibc first, then musl by its two names. */
const C_LIBRARIES = ["libc.so.6", "libc.so", `libc.musl-${machine()}.so.1`];

/** Ends this process at once if `parent` is not (or no longer) its parent. */
export function dieWithParent(parent: number): void {
  if (process.platform === "linux") setDeathSignal();
  // The parent may have died before the signal was set.
  if (process.ppid !== parent) process.exit(0);
}

function setDeathSignal(): void {
  let cause: unknown;
  for (const name of C_LIBRARIES) {
    try {
      const library = dlopen(name, {
        prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
      });
      library.symbols.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
      return;
    } catch (error) {
      cause = error;
    }
  }
  throw new Error("Cannot tie a child process to its parent: no C library found", { cause });
}

function machine(): string {
  return process.arch === "arm64" ? "aarch64" : "x86_64";
}
