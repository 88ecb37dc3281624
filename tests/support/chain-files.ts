/** A chain in a filesystem store, read from its files: what is there, whatever a node says. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { decodeHeader, HEADER_BYTES } from "../../src/epoch/header.ts";

export interface ChainFiles {
  /** Kind of each object of level 0, in order; pruned ones are not there. */
  readonly epochs: readonly { readonly epoch: number; readonly kind: string }[];
  /** Last epochs of the snapshots, in order. */
  readonly snapshots: readonly number[];
}

/** `store` is the URL of the store; a chain that does not exist has neither epochs nor snapshots. */
export function chainFiles(store: string, database: string): ChainFiles {
  const folder = join(fileURLToPath(store), "databases", database, "ltx");
  const files = (level: number) => {
    const path = join(folder, String(level));
    const names = existsSync(path) ? readdirSync(path) : [];
    return names.filter((name) => name.endsWith(".ltx")).sort().map((name) => join(path, name));
  };
  return {
    epochs: files(0).flatMap((path) => {
      const bytes = readIfThere(path);
      if (!bytes) return [];
      const header = decodeHeader(bytes.subarray(0, HEADER_BYTES), path);
      return [{ epoch: header.maxEpoch, kind: header.kind }];
    }),
    snapshots: files(9).map((path) => Number.parseInt(path.slice(-20, -4), 16)),
  };
}

/** Null when the file was pruned since it was listed. */
function readIfThere(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
