/**
 * What makes a write to a directory tree survive a power loss: a file is complete and fsynced
 * before it gets its name, and a name counts once its folder, and every folder above it, is
 * fsynced too.
 */
import { constants } from "node:fs";
import {
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  unlink,
} from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import type { Random } from "../base/random.ts";
import { errorCode, isAbsent } from "./file-error.ts";
import { RESERVED_SEGMENT } from "./key.ts";
import { checkBodyFile } from "./body-file.ts";
import { type Body, bodySize } from "./store.ts";

/** A temporary file older than this was left by a process that died. */
const LEFTOVER_AGE_MS = 24 * 3600 * 1000;

export interface DiskParts {
  readonly clock: Clock;
  readonly random: Random;
}

/** The facts of a file that make its ETag. */
export interface FileFacts {
  readonly size: number;
  readonly inode: number;
  readonly modifiedAtMs: number;
}

export interface TemporaryFile extends FileFacts {
  readonly path: string;
}

/** Paths are absolute and under `root`. Throws what the file system throws. */
export class Disk {
  readonly root: string;
  readonly #temporary: string;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Folders that are known to be on the disk, up to the root. */
  readonly #durableFolders = new Set<string>();
  /** Folders that hold a new name and whose fsync failed. */
  readonly #overdueFolders = new Set<string>();
  readonly #removals = new Set<Promise<void>>();
  #offsetMs = 0;

  constructor(root: string, parts: DiskParts) {
    this.root = root;
    this.#temporary = `${root}/${RESERVED_SEGMENT}`;
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** Time of the file system minus own clock, learned from the last file written. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** Makes the root if need be, learns the time and removes old temporary files. */
  async prepare(): Promise<void> {
    const made = await mkdir(this.#temporary, { recursive: true });
    if (made !== undefined) {
      // Each folder made is an entry of the one above it, up to the first that was there.
      let folder = this.#temporary;
      while (folder !== dirname(made)) await syncFolder(folder = dirname(folder));
    }
    const { path } = await this.writeTemporary(new Uint8Array());
    await rm(path, { force: true });
    const now = this.#clock.nowMs() + this.#offsetMs;
    for (const name of await readdir(this.#temporary)) {
      const leftover = `${this.#temporary}/${name}`;
      const facts = await stat(leftover).catch(() => null); // another process may be faster
      if (facts && now - facts.mtimeMs > LEFTOVER_AGE_MS) await rm(leftover, { force: true });
    }
  }

  /**
   * Throws where the directory is gone, as when its file system is not mounted any more: then what is
   * absent says nothing. The folder of temporary files is there as long as the store is.
   */
  async expectThere(): Promise<void> {
    await stat(this.#temporary).catch((error) => {
      throw new Failure("unavailable", `There is no store at ${this.root} any more`, {
        cause: error,
      });
    });
  }

  /** A complete file on the disk, under a name that no key can have. */
  async writeTemporary(body: Body): Promise<TemporaryFile> {
    const name = this.#random.u64().toString(16).padStart(16, "0");
    const path = `${this.#temporary}/${name}`;
    const inMemory = body instanceof Uint8Array;
    if (!inMemory) {
      await checkBodyFile(body);
      await copyFile(body.path, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    }
    using handle = closedLater(await open(path, inMemory ? "wx" : "r+"));
    if (inMemory) await handle.file.writeFile(body);
    const [{ size, ino, mtimeMs }] = await Promise.all([handle.file.stat(), handle.file.sync()]);
    const wanted = bodySize(body);
    if (size !== wanted) {
      await rm(path, { force: true });
      throw new Failure("unavailable", `A body of ${wanted} bytes has ${size} bytes on the disk`);
    }
    if (inMemory) this.#offsetMs = mtimeMs - this.#clock.nowMs();
    return { path, size, inode: ino, modifiedAtMs: mtimeMs };
  }

  /** Removes a temporary file that has its name, or gets none. Else it goes at the next start. */
  removeLater(path: string): void {
    const removed = unlink(path).catch(() => {}).finally(() => this.#removals.delete(removed));
    this.#removals.add(removed);
  }

  async close(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** Gives the file a name unless it is taken. Not durable before `settleFolder`. */
  async nameIfFree(temporary: TemporaryFile, path: string): Promise<"created" | "exists"> {
    try {
      await link(temporary.path, path);
      return "created";
    } catch (error) {
      if (isAbsent(error)) this.#durableFolders.clear(); // somebody removed the folder
      if (errorCode(error) !== "EEXIST") throw error;
    }
    if ((await stat(path)).isFile()) return "exists";
    throw new Failure("invalid", `Cannot create ${path}: a folder is in its way`);
  }

  /** Gives the file a name, taken or not. Not durable before `settleFolder`. */
  async nameAnyway(temporary: TemporaryFile, path: string): Promise<void> {
    await rename(temporary.path, path);
  }

  /**
   * Puts the names in a folder on the disk. If that fails it is `uncertain` whether `path`
   * lasts, and nothing is read before it has succeeded after all.
   */
  async settleFolder(path: string): Promise<void> {
    const folder = dirname(path);
    try {
      await syncFolder(folder);
    } catch (error) {
      this.#overdueFolders.add(folder);
      throw new Failure("uncertain", `Cannot say whether ${path} is on the disk`, { cause: error });
    }
  }

  async settleOverdue(): Promise<void> {
    for (const folder of this.#overdueFolders) {
      await syncFolder(folder);
      this.#overdueFolders.delete(folder);
    }
  }

  /** Makes the folder and puts it, as an entry of each folder above it, on the disk. */
  async ensureFolder(folder: string): Promise<void> {
    if (folder === this.root || this.#durableFolders.has(folder)) return;
    await this.ensureFolder(dirname(folder));
    await mkdir(folder).catch((error) => {
      if (errorCode(error) !== "EEXIST") throw error;
    });
    // Even if it was there: another process may have made it a moment ago.
    await syncFolder(dirname(folder));
    this.#durableFolders.add(folder);
  }

  /** Removes files that may be absent, and puts their absence on the disk. */
  async remove(paths: readonly string[], parallel: number): Promise<void> {
    const left = paths.values();
    const removeSome = async () => {
      for (const path of left) {
        // Not `rm`, which looks before it removes: what goes away between the two confuses it.
        await unlink(path).catch((error) => {
          if (!isAbsent(error)) throw error;
        });
      }
    };
    await Promise.all(Array.from({ length: parallel }, removeSome));
    for (const folder of new Set(paths.map((path) => dirname(path)))) {
      await syncFolder(folder).catch((error) => {
        if (!isAbsent(error)) throw error;
      });
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  using handle = closedLater(await open(path, "r"));
  await handle.file.sync();
}

/**
 * Nobody waits for the end of a file: what it holds is on the disk, or has failed to get there. Each
 * call to the file system that is waited for is a turn of a process that may be busy.
 */
function closedLater(file: FileHandle): Disposable & { readonly file: FileHandle } {
  return { file, [Symbol.dispose]: () => void file.close().catch(() => {}) };
}
