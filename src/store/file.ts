/**
 * The store as a directory tree. An object appears by a hard link to a complete, fsynced file, so
 * it is whole or absent and the first link wins, also between machines on one shared directory.
 *
 * Calls to a file system cannot be cancelled: a signal counts before the first step only, and a
 * request that hangs stays pending rather than become an outcome that nobody knows.
 */
import { open, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Failure } from "../base/failure.ts";
import { Disk, type DiskParts, type FileFacts } from "./disk.ts";
import { errorCode, fileFailure, isAbsent } from "./file-error.ts";
import { listTree } from "./file-list.ts";
import { checkKey, checkRange, pageLimit } from "./key.ts";
import type {
  Body,
  CreateOptions,
  ListOptions,
  ListPage,
  ObjectInfo,
  RequestOptions,
  Store,
  StoredObject,
} from "./store.ts";

/** Above this an ETag is the file's identity instead of a hash of its bytes. */
const HASHED_BYTES_MAX = 1024 * 1024;
const REMOVES_MAX = 16;

/** Opens the directory, which is made if it is not there, and removes old temporary files. */
export async function openFileStore(path: string, parts: DiskParts): Promise<Store> {
  const disk = new Disk(resolve(path), parts);
  try {
    await disk.prepare();
  } catch (error) {
    throw fileFailure(`open the store file://${disk.root}`, error);
  }
  return new FileStore(disk);
}

class FileStore implements Store {
  readonly name: string;
  readonly #disk: Disk;
  /** The last replace of each key that is under way in this process. */
  readonly #replaces = new Map<string, Promise<unknown>>();

  constructor(disk: Disk) {
    this.name = `file://${disk.root}`;
    this.#disk = disk;
  }

  get(key: string, options?: RequestOptions): Promise<StoredObject | null> {
    return this.#read("read", key, options, async (path) => {
      await using handle = await open(path, "r");
      const stats = await handle.stat();
      if (!stats.isFile()) return null;
      const bytes = new Uint8Array(await handle.readFile());
      const facts = { size: bytes.length, inode: stats.ino, modifiedAtMs: stats.mtimeMs };
      return { bytes, ...info(facts, bytes) };
    });
  }

  getRange(
    key: string,
    range: { readonly offset: number; readonly length: number },
    options?: RequestOptions,
  ): Promise<Uint8Array | null> {
    return this.#read("read", key, options, async (path) => {
      checkRange(range);
      await using handle = await open(path, "r");
      const stats = await handle.stat();
      if (!stats.isFile()) return null;
      const length = Math.max(0, Math.min(range.length, stats.size - range.offset));
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, range.offset + done);
        if (bytesRead === 0) {
          throw new Failure("corrupt", `${path} became shorter while it was read`);
        }
        done += bytesRead;
      }
      return bytes;
    });
  }

  head(key: string, options?: RequestOptions): Promise<ObjectInfo | null> {
    return this.#read("look at", key, options, async (path) => {
      const stats = await stat(path);
      if (!stats.isFile()) return null;
      if (stats.size > HASHED_BYTES_MAX) {
        return info({ size: stats.size, inode: stats.ino, modifiedAtMs: stats.mtimeMs }, null);
      }
      const found = await this.get(key, options);
      return found && { size: found.size, etag: found.etag, modifiedAtMs: found.modifiedAtMs };
    });
  }

  async create(key: string, body: Body, options?: CreateOptions): Promise<"created" | "exists"> {
    return await this.#write("create", key, options, async (path) => {
      await this.#disk.ensureFolder(dirname(path));
      const temporary = await this.#disk.writeTemporary(body);
      try {
        const outcome = await this.#disk.nameIfFree(temporary, path);
        // Also for "exists": a network file system may say so of our own link, and whoever reads
        // the object next takes it as durable.
        await this.#disk.settleFolder(path);
        return outcome;
      } finally {
        this.#disk.removeLater(temporary.path);
      }
    });
  }

  async replace(
    key: string,
    bytes: Uint8Array,
    etag: string | null,
    options?: RequestOptions,
  ): Promise<string | null> {
    const before = this.#replaces.get(key);
    const turn = (async () => {
      await before?.catch(() => {});
      return await this.#replaceNow(key, bytes, etag, options);
    })();
    this.#replaces.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#replaces.get(key) === turn) this.#replaces.delete(key);
    }
  }

  async list(prefix: string, options?: ListOptions): Promise<ListPage> {
    checkSignal(`list ${prefix}`, options);
    const limit = pageLimit(options?.limit);
    try {
      await this.#disk.settleOverdue();
      const startAfter = options?.startAfter ?? "";
      const page = await listTree(this.#disk.root, { prefix, startAfter, limit });
      if (page.objects.length === 0) await this.#disk.expectThere();
      return page;
    } catch (error) {
      throw fileFailure(`list ${prefix} in ${this.name}`, error);
    }
  }

  async remove(keys: readonly string[], options?: RequestOptions): Promise<void> {
    for (const key of keys) checkKey(key);
    checkSignal("remove objects", options);
    try {
      await this.#disk.remove(keys.map((key) => this.#path(key)), REMOVES_MAX);
    } catch (error) {
      throw fileFailure(`remove ${keys.length} objects from ${this.name}`, error);
    }
  }

  clockOffsetMs(): number {
    return this.#disk.offsetMs;
  }

  close(): Promise<void> {
    return this.#disk.close();
  }

  #path(key: string): string {
    return `${this.#disk.root}/${key}`;
  }

  async #replaceNow(
    key: string,
    bytes: Uint8Array,
    etag: string | null,
    options: RequestOptions | undefined,
  ): Promise<string | null> {
    if (etag === null) {
      if (await this.create(key, bytes, options) === "exists") return null;
      return (await this.head(key))?.etag ?? null;
    }
    if ((await this.head(key, options))?.etag !== etag) return null;
    return await this.#write("replace", key, options, async (path) => {
      const temporary = await this.#disk.writeTemporary(bytes);
      await this.#disk.nameAnyway(temporary, path);
      await this.#disk.settleFolder(path);
      return info(temporary, bytes).etag;
    });
  }

  /** Runs a read; null when the path names nothing. */
  async #read<T>(
    action: string,
    key: string,
    options: RequestOptions | undefined,
    run: (path: string) => Promise<T | null>,
  ): Promise<T | null> {
    checkKey(key);
    checkSignal(`${action} ${key}`, options);
    try {
      await this.#disk.settleOverdue();
      return await run(this.#path(key));
    } catch (error) {
      if (errorCode(error) === "EISDIR") return null;
      if (isAbsent(error)) return await this.#disk.expectThere().then(() => null);
      throw fileFailure(`${action} ${key} in ${this.name}`, error);
    }
  }

  async #write<T>(
    action: string,
    key: string,
    options: RequestOptions | undefined,
    run: (path: string) => Promise<T>,
  ): Promise<T> {
    checkKey(key);
    checkSignal(`${action} ${key}`, options);
    try {
      return await run(this.#path(key));
    } catch (error) {
      throw fileFailure(`${action} ${key} in ${this.name}`, error);
    }
  }
}

/** `bytes` are the file's, or null when it is too large to hash. */
function info(facts: FileFacts, bytes: Uint8Array | null): ObjectInfo {
  const { size, inode, modifiedAtMs } = facts;
  const etag = bytes === null || size > HASHED_BYTES_MAX
    ? `${inode}-${modifiedAtMs}-${size}`
    : Bun.hash.xxHash64(bytes).toString(16).padStart(16, "0");
  return { size, etag, modifiedAtMs };
}

function checkSignal(action: string, options: RequestOptions | undefined): void {
  if (!options?.signal?.aborted) return;
  throw new Failure("unavailable", `Cannot ${action}: it was cancelled before it began`, {
    cause: options.signal.reason,
  });
}
