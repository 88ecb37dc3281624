/**
 * Cuts a workspace's log back to the last taken commit, for after its child has ended: whatever
 * stands behind may be half of a batch, or one that was never taken. No process has the files open.
 */
import { closeSync, openSync, readSync, rmSync, truncateSync } from "node:fs";
import { readWalHeader, WAL_HEADER_BYTES } from "./wal.ts";
import type { LogEnd } from "./writer-message.ts";

/** Null: the log held nothing that was taken. */
export function cutLog(path: string, pageSize: number, end: LogEnd | null): void {
  rmSync(`${path}-shm`, { force: true });
  const log = `${path}-wal`;
  if (end === null || !isStill(log, pageSize, end)) return rmSync(log, { force: true });
  truncateSync(log, end.offset);
}

/**
 * False when the log was emptied since: then all that was taken is in the file already, and every
 * frame is newer.
 */
function isStill(log: string, pageSize: number, end: LogEnd): boolean {
  const bytes = new Uint8Array(WAL_HEADER_BYTES);
  try {
    const file = openSync(log, "r");
    try {
      const header = readWalHeader(bytes.subarray(0, readSync(file, bytes)), pageSize);
      return header?.salt0 === end.salt0 && header.salt1 === end.salt1;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
