/**
 * Keys of a directory tree in the order of their UTF-8 bytes. Only folders that can hold a wanted
 * key are read, and only the files of the page are looked at: a folder of 100,000 objects costs one
 * read of its names.
 */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { isAbsent } from "./file-error.ts";
import { compareKeys, mayHoldAfter, RESERVED_SEGMENT, sortKeys } from "./key.ts";
import type { ListedObject, ListPage } from "./store.ts";

export interface TreeQuery {
  readonly prefix: string;
  /** Only keys after this one; "" for all. */
  readonly startAfter: string;
  readonly limit: number;
}

/** One page of the keys under `root`. Throws what the file system throws. */
export async function listTree(root: string, query: TreeQuery): Promise<ListPage> {
  let startAfter = query.startAfter;
  while (true) {
    const keys: string[] = [];
    let more = false;
    const folder = query.prefix.slice(0, query.prefix.lastIndexOf("/") + 1);
    for await (const key of walk(root, folder, { ...query, startAfter })) {
      more = keys.length === query.limit;
      if (more) break;
      keys.push(key);
    }
    const found = await Promise.all(keys.map((key) => facts(root, key)));
    const objects = found.filter((object) => object !== null);
    // All of the page may have been removed meanwhile; without a last key nobody could go on.
    if (objects.length > 0 || !more) return { objects, more };
    startAfter = keys.at(-1) ?? startAfter;
  }
}

async function* walk(root: string, folder: string, query: TreeQuery): AsyncGenerator<string> {
  const { prefix, startAfter } = query;
  const wanted: string[] = [];
  for (const entry of await entries(`${root}/${folder}`)) {
    const name = folder + entry.name;
    if (entry.isDirectory()) {
      const inside = `${name}/`;
      if (name === RESERVED_SEGMENT || !mayHoldAfter(inside, startAfter)) continue;
      if (inside.startsWith(prefix) || prefix.startsWith(inside)) wanted.push(inside);
    } else if (entry.isFile() && name.startsWith(prefix) && compareKeys(name, startAfter) > 0) {
      wanted.push(name);
    }
  }
  // A folder sorts with its slash, as its keys do: "a-b" comes before "a/b".
  for (const name of sortKeys(wanted)) {
    if (name.endsWith("/")) yield* walk(root, name, query);
    else yield name;
  }
}

async function entries(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

async function facts(root: string, key: string): Promise<ListedObject | null> {
  try {
    const { size, mtimeMs } = await stat(`${root}/${key}`);
    return { key, size, modifiedAtMs: mtimeMs };
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}
