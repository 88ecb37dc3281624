/** Data files of lakes: into the store, and from it into a folder that queries read from. */
import { rmSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { LAKE_CACHE_BYTES_MAX, LAKE_FETCHES_MAX } from "../base/lake-limits.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { Places } from "../base/places.ts";
import { LAKES_PREFIX } from "../epoch/key.ts";
import { fileFailure } from "../store/file-error.ts";
import { settle } from "../store/settle.ts";
import type { Store } from "../store/store.ts";

export interface LakeFilesOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** For copies; made if need be, removed by `close`. This object's alone. */
  readonly folder: string;
  /** Of copies that nobody reads; `LAKE_CACHE_BYTES_MAX` if absent. */
  readonly cacheBytesMax?: number;
}

/** The folder of a lake, with its slash: where the paths in its catalog begin. */
export function lakePrefix(lake: string): string {
  return `${LAKES_PREFIX}${lake}/`;
}

/** The path of a new data file in its catalog, without what its writer puts behind it. */
export function dataName(uuid: string): string {
  return `data/${uuid}`;
}

interface Copy {
  readonly path: string;
  readonly bytes: number;
  readonly ready: Promise<void>;
  /** Queries that read it now; it stays for them. */
  users: number;
}

export class LakeFiles {
  readonly #options: LakeFilesOptions;
  /** By key, the one that was used last at the end. */
  readonly #copies = new Map<string, Copy>();
  readonly #fetches = new Places(LAKE_FETCHES_MAX);
  #bytes = 0;
  #names = 0;

  constructor(options: LakeFilesOptions) {
    this.#options = options;
  }

  /** Where DuckLake finds the lake's files: the root of relative paths in the catalog. */
  dataPath(lake: string): string {
    const { name } = this.#options.store;
    const root = name.startsWith("file://") ? name.slice("file://".length) : name;
    return `${root.replace(/\/$/, "")}/${lakePrefix(lake)}`;
  }

  /** Resolves when the object is in the store. Rejects with `unavailable` at the deadline. */
  async upload(
    lake: string,
    file: { readonly name: string; readonly path: string; readonly bytes: number },
    deadlineMs: number,
  ): Promise<void> {
    const { store, clock, random, log } = this.#options;
    const end = new AbortController();
    const cancel = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => end.abort());
    const key = lakePrefix(lake) + file.name;
    try {
      const body = { path: file.path, size: file.bytes };
      const { outcome } = await settle(store, key, body, {
        clock,
        random,
        log,
        signal: end.signal,
      });
      if (outcome === "won") return;
      throw new Failure("corrupt", `Cannot store ${key}: there is another object of this name`);
    } catch (error) {
      // Nothing refers to it: whether it came to be there or not, the rows are not stored.
      if (!end.signal.aborted) throw error;
      throw new Failure("unavailable", `Cannot store ${key} before the deadline`, { cause: error });
    } finally {
      cancel();
    }
  }

  /** A copy of the object that stays until `done`; its size if it is known. Rejects with `corrupt` where it is not there. */
  async open(
    lake: string,
    file: { readonly path: string; readonly bytes: number | null },
  ): Promise<{ readonly path: string; done(): void }> {
    const key = lakePrefix(lake) + file.path;
    const copy = this.#copies.get(key) ?? this.#fetch(key, file.bytes);
    // To the end: it was used last.
    this.#copies.delete(key);
    this.#copies.set(key, copy);
    copy.users++;
    let isDone = false;
    const done = () => {
      if (isDone) return;
      isDone = true;
      copy.users--;
      this.#makeRoom(0);
    };
    try {
      await copy.ready;
      return { path: copy.path, done };
    } catch (error) {
      if (this.#copies.get(key) === copy) this.#drop(key, copy);
      done();
      throw error;
    }
  }

  /** Objects below the folder of our data files, page by page, with their paths in the catalog. */
  async *stored(
    lake: string,
  ): AsyncGenerator<readonly { readonly path: string; readonly modifiedAtMs: number }[]> {
    const { store } = this.#options;
    const root = lakePrefix(lake);
    let startAfter: string | undefined;
    for (;;) {
      const { objects, more } = await store.list(root + dataName(""), {
        ...(startAfter !== undefined && { startAfter }),
      });
      yield objects.map(({ key, modifiedAtMs }) => ({
        path: key.slice(root.length),
        modifiedAtMs,
      }));
      startAfter = objects.at(-1)?.key;
      if (!more || startAfter === undefined) return;
    }
  }

  /** Only what `cleaning.ts` has found to be needed by nobody. */
  async remove(lake: string, paths: readonly string[]): Promise<void> {
    await this.#options.store.remove(paths.map((path) => lakePrefix(lake) + path));
  }

  /** A path for a new file in the same folder; the caller removes it. */
  async temporary(purpose: string): Promise<string> {
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    return join(this.#options.folder, `${purpose}-${++this.#names}`);
  }

  close(): void {
    rmSync(this.#options.folder, { recursive: true, force: true });
  }

  #fetch(key: string, bytes: number | null): Copy {
    this.#makeRoom(bytes ?? 0);
    const path = join(this.#options.folder, `copy-${++this.#names}.parquet`);
    this.#bytes += bytes ?? 0;
    const copy = {
      path,
      bytes: bytes ?? 0,
      ready: this.#fetches.run(() => this.#get(key, bytes, path)),
    };
    return { ...copy, users: 0 };
  }

  async #get(key: string, bytes: number | null, path: string): Promise<void> {
    const { store, folder } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const found = await store.get(key);
    if (found === null) throw new Failure("corrupt", `The file ${key} is not in the store`);
    if (bytes !== null && found.bytes.length !== bytes) {
      const sizes = `${found.bytes.length} bytes, not ${bytes}`;
      throw new Failure("corrupt", `The file ${key} has ${sizes} as its catalog says`);
    }
    try {
      await Bun.write(`${path}.part`, found.bytes);
      await rename(`${path}.part`, path);
    } catch (error) {
      await rm(`${path}.part`, { force: true });
      throw fileFailure(`copy ${key} to memory_dir`, error);
    }
  }

  /** Copies that nobody reads go, those first that were used longest ago. */
  #makeRoom(bytes: number): void {
    const { cacheBytesMax = LAKE_CACHE_BYTES_MAX } = this.#options;
    for (const [key, copy] of this.#copies) {
      if (this.#bytes + bytes <= cacheBytesMax) return;
      if (copy.users === 0) this.#drop(key, copy);
    }
  }

  #drop(key: string, copy: Copy): void {
    this.#copies.delete(key);
    this.#bytes -= copy.bytes;
    copy.ready.then(() => rm(copy.path, { force: true }), () => {});
  }
}
