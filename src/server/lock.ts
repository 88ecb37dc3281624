/**
 * An exclusive lock on a file for the life of a process (flock(2)): the kernel frees it however the
 * process ends, so a lock that is free means that its holder is gone.
 */
import { dlopen } from "bun:ffi";
import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";

const LOCK_EX = 2;
const LOCK_NB = 4;

export interface FileLock {
  release(): void;
}

/**
 * Locks the file, which is made if need be; null when another process holds the lock, or has removed
 * the file meanwhile.
 */
export function lockFile(path: string): FileLock | null {
  return lockOpened(path, openSync(path, "a+", 0o600));
}

/** Locks a file that is there. Throws ENOENT when it is not. */
export function lockExisting(path: string): FileLock | null {
  return lockOpened(path, openSync(path, "r+"));
}

function lockOpened(path: string, descriptor: number): FileLock | null {
  const isFree = flock(descriptor, LOCK_EX | LOCK_NB) === 0;
  // The lock of a file that has no name any more keeps nobody out.
  if (isFree && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(descriptor).ino) {
    return { release: () => closeSync(descriptor) };
  }
  closeSync(descriptor);
  return null;
}

/** Text of a locked or free file, without surrounding white space. */
export function readText(path: string): string {
  return readFileSync(path, "utf8").trim();
}

let call: ((descriptor: number, operation: number) => number) | null = null;

function flock(descriptor: number, operation: number): number {
  call ??= openFlock();
  return call(descriptor, operation);
}

function openFlock(): (descriptor: number, operation: number) => number {
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  const names = process.platform === "darwin"
    ? ["libSystem.B.dylib"]
    : ["libc.so.6", `libc.musl-${machine}.so.1`, "libc.so"];
  let cause: unknown;
  for (const name of names) {
    try {
      const library = dlopen(name, { flock: { args: ["i32", "i32"], returns: "i32" } });
      return library.symbols.flock;
    } catch (error) {
      cause = error;
    }
  }
  throw new Error("Cannot lock files: no C library found", { cause });
}
