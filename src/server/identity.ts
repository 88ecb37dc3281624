/** Who this process is: a node id that outlives it, and a start nonce that does not (PROTOCOL 8). */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import { isDatabaseName } from "../epoch/name.ts";
import { fileFailure } from "../store/file-error.ts";
import { type FileLock, lockFile, readText } from "./lock.ts";

export interface Identity {
  readonly id: string;
  /** Drawn by this process; tells it from an earlier or a second one with the same id. */
  readonly nonce: string;
  readonly lock: FileLock;
}

/**
 * Reads the id at `path`, or draws one, and locks the file for life. Throws `conflict` when another
 * process on this machine runs with that file, `invalid` when the file holds something else.
 */
export function takeIdentity(path: string, random: Random): Identity {
  const { isNew, lock } = openIdentity(path);
  if (!lock) {
    throw new Failure(
      "conflict",
      `Cannot start: the node id in ${path} is in use by another process on this machine; ` +
        "stop it, or give this one its own cluster_mode.node_id_path",
    );
  }
  if (isNew && readText(path) === "") writeFileSync(path, `node-${hex(random.bytes(6))}\n`);
  const id = readText(path);
  if (!isDatabaseName(id)) {
    lock.release();
    throw new Failure(
      "invalid",
      `Cannot start: ${path} holds ${JSON.stringify(id.slice(0, 80))}, not a node id; allowed: ` +
        "a-z, 0-9, _ and -, at most 63 characters; delete the file for a new id",
    );
  }
  return { id, nonce: hex(random.bytes(16)), lock };
}

function openIdentity(path: string): { readonly isNew: boolean; readonly lock: FileLock | null } {
  try {
    mkdirSync(dirname(path), { recursive: true });
    return { isNew: !existsSync(path) || readText(path) === "", lock: lockFile(path) };
  } catch (error) {
    throw fileFailure(`keep the node id at ${path} (cluster_mode.node_id_path)`, error);
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
