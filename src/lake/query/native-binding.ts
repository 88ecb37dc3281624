/**
 * DuckDB's binding for children to load. The executable has it inside as two files, which the
 * system's loader cannot open there: they are unpacked at the first query, once a node.
 */
import { chmodSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type EmbeddedFile, embeddedFiles } from "./embedded.ts";
import { cannotUnpack, notInThisProgram } from "./query-failure.ts";

export interface NativeBinding {
  /**
   * The file of the binding, or null where `node_modules` has it. `folder` is the node's own: nobody
   * else may write to it, since what is loaded from it runs. Throws `unavailable` when this program
   * has no DuckDB.
   */
  path(folder: string): Promise<string | null>;
}

const FOLDER = "duckdb";
const PART = ".part-";

/** True in an executable; the build says so. */
declare const HEADGATE_COMPILED: boolean | undefined;

/** The binding of this program, whichever it is. */
export function nativeBinding(unique: string): NativeBinding {
  const isCompiled = typeof HEADGATE_COMPILED === "boolean" && HEADGATE_COMPILED;
  return isCompiled ? embeddedBinding(embeddedFiles, unique) : installedBinding;
}

/** The binding of a program that runs from its sources. */
export const installedBinding: NativeBinding = { path: () => Promise.resolve(null) };

/** The binding that an executable carries. `unique` tells this process's parts from others'. */
export function embeddedBinding(files: readonly EmbeddedFile[], unique: string): NativeBinding {
  let unpacked: Promise<string> | null = null;
  return {
    path: async (folder) => {
      const binding = files.find(({ name }) => name.endsWith(".node"));
      if (binding === undefined) throw notInThisProgram();
      unpacked ??= unpack(files, folder, unique);
      try {
        return join(await unpacked, binding.name);
      } catch (error) {
        // What had no room may have it at the next query.
        unpacked = null;
        throw error;
      }
    },
  };
}

/**
 * Both files appear at once, by the renaming of their folder: processes that unpack at the same time
 * end up with one of the copies, whole.
 */
async function unpack(
  files: readonly EmbeddedFile[],
  parent: string,
  unique: string,
): Promise<string> {
  const target = join(parent, FOLDER);
  if (isWhole(target)) return target;
  const part = `${target}${PART}${unique}`;
  try {
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true, mode: 0o700 });
    for (const { name, path } of files) {
      await Bun.write(join(part, name), Bun.file(path));
      chmodSync(join(part, name), 0o500);
    }
    renameSync(part, target);
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    // Another process was faster.
    if (!isWhole(target)) throw cannotUnpack(error);
  }
  return target;
}

function isWhole(target: string): boolean {
  return statSync(target, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
