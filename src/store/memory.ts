/**
 * The store in memory: the reference that says what the others must do, and what tests and the
 * simulation run on. Everything happens at once when it is called; bytes are copied both ways.
 */
import { readFile } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { checkBodyFile } from "./body-file.ts";
import { checkKey, checkRange, compareKeys, pageLimit } from "./key.ts";
import type {
  Body,
  CreateOptions,
  FileBody,
  ListOptions,
  ListPage,
  ObjectInfo,
  RequestOptions,
  Store,
  StoredObject,
} from "./store.ts";

interface Held {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly modifiedAtMs: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export class MemoryStore implements Store {
  readonly name: string;
  readonly #clock: Clock;
  readonly #objects = new Map<string, Held>();
  /** All keys in order, or null when it has to be made again. */
  #sorted: string[] | null = [];

  constructor(clock: Clock, name = "memory:") {
    this.#clock = clock;
    this.name = name;
  }

  // deno-lint-ignore require-await -- the port is asynchronous
  async get(key: string, options?: RequestOptions): Promise<StoredObject | null> {
    const held = this.#find(key, options);
    return held && { ...info(held), bytes: held.bytes.slice() };
  }

  // deno-lint-ignore require-await
  async getRange(
    key: string,
    range: { readonly offset: number; readonly length: number },
    options?: RequestOptions,
  ): Promise<Uint8Array | null> {
    checkRange(range);
    const held = this.#find(key, options);
    return held && held.bytes.slice(range.offset, range.offset + range.length);
  }

  // deno-lint-ignore require-await
  async head(key: string, options?: RequestOptions): Promise<ObjectInfo | null> {
    const held = this.#find(key, options);
    return held && info(held);
  }

  async create(key: string, body: Body, options?: CreateOptions): Promise<"created" | "exists"> {
    checkKey(key);
    checkSignal(options);
    const bytes = body instanceof Uint8Array ? body.slice() : await readWhole(body);
    if (this.#objects.has(key)) return "exists";
    this.#put(key, bytes, options?.metadata ?? {});
    return "created";
  }

  // deno-lint-ignore require-await
  async replace(
    key: string,
    bytes: Uint8Array,
    etag: string | null,
    options?: RequestOptions,
  ): Promise<string | null> {
    const held = this.#find(key, options);
    if ((held?.etag ?? null) !== etag) return null;
    return this.#put(key, bytes.slice(), {}).etag;
  }

  // deno-lint-ignore require-await
  async list(prefix: string, options?: ListOptions): Promise<ListPage> {
    checkSignal(options);
    const limit = pageLimit(options?.limit);
    const keys = this.#keys();
    const startAfter = options?.startAfter ?? "";
    const from = compareKeys(startAfter, prefix) > 0 ? startAfter : prefix;
    const objects = [];
    for (let at = firstFrom(keys, from); at < keys.length; at++) {
      const key = keys[at] ?? "";
      if (!key.startsWith(prefix)) break;
      if (key === startAfter) continue;
      if (objects.length === limit) return { objects, more: true };
      const held = this.#objects.get(key);
      if (held) objects.push({ key, size: held.bytes.length, modifiedAtMs: held.modifiedAtMs });
    }
    return { objects, more: false };
  }

  // deno-lint-ignore require-await
  async remove(keys: readonly string[], options?: RequestOptions): Promise<void> {
    checkSignal(options);
    for (const key of keys) checkKey(key);
    for (const key of keys) if (this.#objects.delete(key)) this.#sorted = null;
  }

  clockOffsetMs(): number {
    return 0;
  }

  async close(): Promise<void> {}

  /** Metadata of an object, for tests. */
  metadata(key: string): Readonly<Record<string, string>> | undefined {
    return this.#objects.get(key)?.metadata;
  }

  #find(key: string, options: RequestOptions | undefined): Held | null {
    checkKey(key);
    checkSignal(options);
    return this.#objects.get(key) ?? null;
  }

  #put(key: string, bytes: Uint8Array, metadata: Readonly<Record<string, string>>): Held {
    const etag = Bun.hash.xxHash64(bytes).toString(16).padStart(16, "0");
    const held = { bytes, etag, modifiedAtMs: this.#clock.nowMs(), metadata };
    const last = this.#sorted?.at(-1);
    if (!this.#objects.has(key)) {
      // Chains grow at their end, so the common case keeps the order without a sort.
      if (this.#sorted && (last === undefined || compareKeys(last, key) < 0)) {
        this.#sorted.push(key);
      } else this.#sorted = null;
    }
    this.#objects.set(key, held);
    return held;
  }

  #keys(): readonly string[] {
    return this.#sorted ??= [...this.#objects.keys()].sort(compareKeys);
  }
}

function info(held: Held): ObjectInfo {
  return { size: held.bytes.length, etag: held.etag, modifiedAtMs: held.modifiedAtMs };
}

function checkSignal(options: RequestOptions | undefined): void {
  if (options?.signal?.aborted) {
    throw new Failure("unavailable", "The request was cancelled before it was sent", {
      cause: options.signal.reason,
    });
  }
}

async function readWhole(body: FileBody): Promise<Uint8Array> {
  await checkBodyFile(body);
  return new Uint8Array(await readFile(body.path));
}

/** Index of the first key that is not below `from`. */
function firstFrom(keys: readonly string[], from: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] ?? "", from) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
