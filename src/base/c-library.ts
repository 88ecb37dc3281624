/** Functions of the C library, for the few things that the runtime has no way to. */
import { dlopen, type FFIFunction } from "bun:ffi";

/** glibc first, then musl by its two names. */
const NAMES = ["libc.so.6", "libc.so", `libc.musl-${machine()}.so.1`];

/** Throws where none is found, with the cause. */
export function openCLibrary<T extends Record<string, FFIFunction>>(functions: T) {
  let cause: unknown;
  for (const name of NAMES) {
    try {
      return dlopen(name, functions).symbols;
    } catch (error) {
      cause = error;
    }
  }
  throw new Error("no C library found", { cause });
}

function machine(): string {
  return process.arch === "arm64" ? "aarch64" : "x86_64";
}
