/**
 * The port to an object store: what the protocol needs of one and no more. Implementations are in
 * memory (the reference), on a POSIX directory and on S3; one conformance suite runs over all.
 *
 * Every call is *one* attempt with a deadline; `retry.ts` repeats what may be repeated. A failure
 * is thrown as a `Failure`: `unavailable` when the request certainly did nothing, `uncertain` when
 * it may have been applied (time-out, reset, 5xx, 409 on a write), `denied` for missing rights,
 * `invalid` for a request that can never succeed, `corrupt` for an answer that cannot be right.
 */
export interface Store {
  /** For people and logs: "s3://bucket/prefix" or "file:///path". Never holds a secret. */
  readonly name: string;

  /** The whole object, or null when there is none. The bytes of an answer are the caller's own. */
  get(key: string, options?: RequestOptions): Promise<StoredObject | null>;

  /** At most `length` bytes from `offset`; shorter at the object's end; null when there is none. */
  getRange(
    key: string,
    range: { readonly offset: number; readonly length: number },
    options?: RequestOptions,
  ): Promise<Uint8Array | null>;

  /** The object's facts, or null when there is none. */
  head(key: string, options?: RequestOptions): Promise<ObjectInfo | null>;

  /**
   * Creates the object unless the key is taken (`If-None-Match: *`). Sends the request exactly
   * once (I8): nothing below repeats it. "exists" may be our own object, applied by a request whose
   * answer was lost; `settle` in `settle.ts` finds out.
   */
  create(key: string, body: Body, options?: CreateOptions): Promise<"created" | "exists">;

  /**
   * Writes the object if its ETag is still `etag` (null: if there is none), and answers the new
   * ETag, or null if it has changed. On POSIX not atomic between nodes, enough for a hint.
   */
  replace(
    key: string,
    bytes: Uint8Array,
    etag: string | null,
    options?: RequestOptions,
  ): Promise<string | null>;

  /** One page of keys that start with `prefix`, in ascending order of their UTF-8 bytes. */
  list(prefix: string, options?: ListOptions): Promise<ListPage>;

  /** Removes the objects; keys that are not there are fine. Any number of keys. */
  remove(keys: readonly string[], options?: RequestOptions): Promise<void>;

  /** Store time minus own clock in ms, learned from its answers; 0 before the first (I11). */
  clockOffsetMs(): number;

  close(): Promise<void>;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  /**
   * Deadline of this attempt; when absent `STORE_ATTEMPT_MS` plus the time that its bytes take at
   * `STORE_BYTES_PER_MS_MIN`.
   */
  readonly timeoutMs?: number;
}

export interface CreateOptions extends RequestOptions {
  /** User metadata of the object; ignored where the store has none. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface ListOptions extends RequestOptions {
  /** Only keys after this one. */
  readonly startAfter?: string;
  /** Most keys a page; at most, and by default, 1000. */
  readonly limit?: number;
}

export interface ListPage {
  readonly objects: readonly ListedObject[];
  /** True when more keys follow: list again with `startAfter` the last key of this page. */
  readonly more: boolean;
}

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** By the store's clock, ms since 1970. */
  readonly modifiedAtMs: number;
}

export interface ObjectInfo {
  readonly size: number;
  /** Opaque; compare for equality only. */
  readonly etag: string;
  readonly modifiedAtMs: number;
}

export interface StoredObject extends ObjectInfo {
  readonly bytes: Uint8Array;
}

/** Bytes in memory, or a complete file that nobody changes (length known before the first byte). */
export type Body = Uint8Array | FileBody;

export interface FileBody {
  readonly path: string;
  readonly size: number;
}

export function bodySize(body: Body): number {
  return body instanceof Uint8Array ? body.byteLength : body.size;
}
