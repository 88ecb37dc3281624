/**
 * The folder of images and workspaces. Nothing in it outlives its process: everything comes from
 * the store, so what a dead process left is removed by whoever finds its lock free.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import { MEMORY_DIR_BYTES_MIN } from "../base/limits.ts";
import { fileFailure } from "../store/file-error.ts";
import { type FileLock, lockExisting, lockFile } from "./lock.ts";

const PREFIX = "headgate-";
const LOCK = "lock";

export interface MemoryFolder {
  readonly path: string;
  /** A path that nothing else in this process uses. */
  temporary(purpose: string): string;
  remove(): void;
}

/** /dev/shm where it has room, else the temporary directory. */
export function defaultMemoryDir(): string {
  const shm = "/dev/shm";
  try {
    const { bavail, bsize } = statfsSync(shm);
    if (bavail * bsize >= MEMORY_DIR_BYTES_MIN) return shm;
  } catch {
    // No such file system here: the temporary directory is what there is.
  }
  return tmpdir();
}

/** Makes this process's folder under `base` and removes those of dead processes. */
export function openMemoryFolder(base: string, name: string, log: Log): MemoryFolder {
  try {
    return openFolder(base, name, log);
  } catch (error) {
    throw fileFailure(`keep databases in ${base} (memory_dir)`, error);
  }
}

function openFolder(base: string, name: string, log: Log): MemoryFolder {
  mkdirSync(base, { recursive: true });
  removeLeftovers(base, log);
  const path = join(base, PREFIX + name);
  const lock = takeFolder(path);
  if (!lock) {
    throw new Failure("conflict", `Cannot start: ${path} is in use by another process`);
  }
  for (const entry of readdirSync(path)) {
    if (entry !== LOCK) rmSync(join(path, entry), { recursive: true, force: true });
  }
  let files = 0;
  return {
    path,
    temporary: (purpose) => join(path, `${purpose}-${++files}`),
    remove: () => remove(path, lock),
  };
}

/** Null when another process keeps it. One that starts now may take it for a leftover for a moment. */
function takeFolder(path: string): FileLock | null {
  for (let attempt = 1;; attempt++) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      const lock = lockFile(join(path, LOCK));
      if (lock || attempt === TAKE_ATTEMPTS) return lock;
    } catch (error) {
      if (Object(error).code !== "ENOENT" || attempt === TAKE_ATTEMPTS) throw error;
    }
    Bun.sleepSync(TAKE_AGAIN_MS);
  }
}

const TAKE_ATTEMPTS = 20;
const TAKE_AGAIN_MS = 5;

function removeLeftovers(base: string, log: Log): void {
  for (const entry of readdirSync(base)) {
    if (!entry.startsWith(PREFIX)) continue;
    const path = join(base, entry);
    try {
      const lock = lockExisting(join(path, LOCK));
      if (!lock) continue;
      remove(path, lock);
      log.info("removed the memory of a process that is gone", { path });
    } catch (error) {
      // Another user's, or one that is being made or removed at this moment.
      log.debug("left a folder of memory alone", { path, cause: String(error) });
    }
  }
}

/**
 * Removes a folder whose lock this process holds. Under another name, so that a process that makes
 * it anew meanwhile has one that nobody removes.
 */
function remove(path: string, lock: FileLock): void {
  const doomed = `${path}.gone-${process.pid}`;
  try {
    renameSync(path, doomed);
  } catch (error) {
    // Somebody has removed it by hand.
    if (Object(error).code !== "ENOENT") throw error;
  }
  rmSync(doomed, { recursive: true, force: true });
  lock.release();
}
