/**
 * The store on Amazon S3, or on anything that speaks its protocol and honours `If-None-Match: *`.
 * One call is one request on the wire, except that a page of a list without keys, and a refused
 * `If-Match`, are looked into.
 */
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { REMOVE_KEYS_MAX } from "../base/limits.ts";
import { Attempts } from "./attempt.ts";
import { checkKey, checkRange, compareKeys, pageLimit } from "./key.ts";
import { openBody, readBody } from "./s3-body.ts";
import { connectS3, type S3Connection, signWith } from "./s3-client.ts";
import { s3Answer } from "./s3-failure.ts";
import {
  type Body,
  bodySize,
  type CreateOptions,
  type ListedObject,
  type ListOptions,
  type ListPage,
  type ObjectInfo,
  type RequestOptions,
  type Store,
  type StoredObject,
} from "./store.ts";
import { keyPrefix, type S3Settings, storeUrl } from "./url.ts";

export function openS3Store(settings: S3Settings, parts: { readonly clock: Clock }): Store {
  return new S3Store(settings, connectS3(settings, parts.clock), parts.clock);
}

class S3Store implements Store {
  readonly name: string;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #connection: S3Connection;
  readonly #attempts: Attempts;
  /** How the store wants the ETag of `If-Match`; learned at the first replace. */
  #etagForm: "unknown" | "quoted" | "bare" = "unknown";

  constructor(settings: S3Settings, connection: S3Connection, clock: Clock) {
    this.name = storeUrl(settings).replace(/\?.*$/, "");
    this.#bucket = settings.bucket;
    this.#prefix = keyPrefix(settings.prefix);
    this.#clock = clock;
    this.#connection = connection;
    this.#attempts = new Attempts(clock);
  }

  async get(key: string, options?: RequestOptions): Promise<StoredObject | null> {
    return await this.#request(`read ${key}`, options, {}, async (signal, extend) => {
      const command = new GetObjectCommand(this.#at(key));
      const found = await this.#connection.client.send(command, { abortSignal: signal });
      extend(found.ContentLength ?? 0);
      const bytes = await readBody(found.Body, found.ContentLength, signal);
      return { ...objectInfo(found, bytes.length), bytes };
    }, (status, code) => status === 404 && code !== "NoSuchBucket");
  }

  async getRange(
    key: string,
    range: { readonly offset: number; readonly length: number },
    options?: RequestOptions,
  ): Promise<Uint8Array | null> {
    checkRange(range);
    const { offset, length } = range;
    if (length === 0) return await this.head(key, options) && new Uint8Array();
    const past = Symbol("past the end");
    const found = await this.#request<Uint8Array | typeof past>(
      `read ${key}`,
      options,
      { bytes: length },
      async (signal) => {
        const command = new GetObjectCommand({
          ...this.#at(key),
          Range: `bytes=${offset}-${offset + length - 1}`,
        });
        try {
          const found = await this.#connection.client.send(command, { abortSignal: signal });
          return await readBody(found.Body, found.ContentLength, signal);
        } catch (error) {
          if (s3Answer(error).status === 416) return past;
          throw error;
        }
      },
      (status, code) => status === 404 && code !== "NoSuchBucket",
    );
    if (found === past) return new Uint8Array();
    if (found !== null && found.length > length) {
      throw new Failure(
        "corrupt",
        `${this.name} answered ${found.length} bytes of ${key}, not ${length}`,
      );
    }
    return found;
  }

  async head(key: string, options?: RequestOptions): Promise<ObjectInfo | null> {
    return await this.#request(`look at ${key}`, options, {}, async (signal) => {
      const command = new HeadObjectCommand(this.#at(key));
      const found = await this.#connection.client.send(command, { abortSignal: signal });
      return objectInfo(found, found.ContentLength ?? 0);
    }, (status) => status === 404);
  }

  async create(key: string, body: Body, options?: CreateOptions): Promise<"created" | "exists"> {
    const size = bodySize(body);
    const created = await this.#request(
      `create ${key}`,
      options,
      { bytes: size, writes: true },
      async (signal) => {
        await using opened = await openBody(body, this.#clock);
        const command = new PutObjectCommand({
          ...this.#at(key),
          Body: opened.body,
          ContentLength: size,
          ContentType: "application/octet-stream",
          IfNoneMatch: "*",
          ...(options?.metadata && { Metadata: { ...options.metadata } }),
        });
        if (opened.sha256 !== null) signWith(command, opened.sha256);
        // An answer may come before the body has gone out; the connection is of no use then.
        const unfinished = new AbortController();
        const abortSignal = AbortSignal.any([signal, unfinished.signal]);
        try {
          await this.#connection.client.send(command, { abortSignal });
          return true;
        } finally {
          if (!opened.isSent()) unfinished.abort();
        }
      },
      (status) => status === 412,
    );
    return created ? "created" : "exists";
  }

  async replace(
    key: string,
    bytes: Uint8Array,
    etag: string | null,
    options?: RequestOptions,
  ): Promise<string | null> {
    if (etag === null) return await this.#put(key, bytes, { IfNoneMatch: "*" }, options);
    const bare = etag.replace(/^"(.*)"$/, "$1");
    const forms = { quoted: `"${bare}"`, bare };
    const form = this.#etagForm === "bare" ? "bare" : "quoted";
    const replaced = await this.#put(key, bytes, { IfMatch: forms[form] }, options);
    if (replaced !== null || this.#etagForm !== "unknown") {
      if (replaced !== null) this.#etagForm = form;
      return replaced;
    }
    // RFC 9110 has the ETag in quotes, Ceph's gateway wants it without. A refusal did nothing, so
    // if the object is still the same the other form is tried.
    if ((await this.head(key, options))?.etag !== etag) return null;
    const again = await this.#put(key, bytes, { IfMatch: forms.bare }, options);
    if (again !== null) this.#etagForm = "bare";
    return again;
  }

  async list(prefix: string, options?: ListOptions): Promise<ListPage> {
    const limit = pageLimit(options?.limit);
    const startAfter = options?.startAfter ?? "";
    let token: string | undefined;
    while (true) {
      const page: ListObjectsV2CommandOutput | null = await this.#attempts.run(
        { action: `list ${prefix} in ${this.name}`, writes: false, bytes: 0 },
        options,
        async (signal) => {
          const command = new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: this.#prefix + prefix,
            MaxKeys: limit,
            ...(startAfter !== "" && { StartAfter: this.#prefix + startAfter }),
            ...(token !== undefined && { ContinuationToken: token }),
          });
          return await this.#connection.client.send(command, { abortSignal: signal });
        },
      );
      const objects = this.#listed(page?.Contents ?? [], prefix, startAfter);
      const more = page?.IsTruncated ?? false;
      token = page?.NextContinuationToken;
      // A page may have no keys and still not be the last; the caller could not go on from it.
      if (objects.length > 0 || !more || token === undefined) return { objects, more };
    }
  }

  async remove(keys: readonly string[], options?: RequestOptions): Promise<void> {
    for (const key of keys) checkKey(key, this.#prefix);
    for (let at = 0; at < keys.length; at += REMOVE_KEYS_MAX) {
      const some = keys.slice(at, at + REMOVE_KEYS_MAX);
      const action = `remove ${some.length} objects from ${some[0]} on in ${this.name}`;
      await this.#attempts.run({ action, writes: false, bytes: 0 }, options, async (signal) => {
        const command = new DeleteObjectsCommand({
          Bucket: this.#bucket,
          Delete: { Quiet: true, Objects: some.map((key) => ({ Key: this.#prefix + key })) },
        });
        const { Errors } = await this.#connection.client.send(command, { abortSignal: signal });
        const first = Errors?.[0];
        if (first === undefined) return;
        const kind = first.Code === "AccessDenied" ? "denied" : "unavailable";
        const what = `${Errors?.length} keys were refused, ${first.Key} with ${first.Code}`;
        throw new Failure(kind, `Cannot ${action}: ${what}`);
      });
    }
  }

  clockOffsetMs(): number {
    return this.#connection.offsetMs();
  }

  // deno-lint-ignore require-await -- the port is asynchronous
  async close(): Promise<void> {
    this.#connection.close();
  }

  #at(key: string): { Bucket: string; Key: string } {
    checkKey(key, this.#prefix);
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }

  /** One request; null for an answer that `isNo` takes as an expected no. */
  async #request<T>(
    action: string,
    options: RequestOptions | undefined,
    facts: { readonly bytes?: number; readonly writes?: boolean },
    send: (signal: AbortSignal, extend: (bytes: number) => void) => Promise<T>,
    isNo: (status: number | undefined, code: string | undefined) => boolean,
  ): Promise<T | null> {
    const attempt = { bytes: 0, writes: false, ...facts, action: `${action} in ${this.name}` };
    return await this.#attempts.run<T | null>(attempt, options, async (signal, extend) => {
      try {
        return await send(signal, extend);
      } catch (error) {
        const { status, code } = s3Answer(error);
        if (isNo(status, code)) return null;
        throw error;
      }
    });
  }

  /** The new ETag, or null when the condition was refused. */
  async #put(
    key: string,
    bytes: Uint8Array,
    condition: { readonly IfMatch: string } | { readonly IfNoneMatch: string },
    options: RequestOptions | undefined,
  ): Promise<string | null> {
    const facts = { bytes: bytes.length, writes: true };
    return await this.#request(`replace ${key}`, options, facts, async (signal) => {
      const command = new PutObjectCommand({
        ...this.#at(key),
        Body: bytes,
        ContentLength: bytes.length,
        ...condition,
      });
      const { ETag } = await this.#connection.client.send(command, { abortSignal: signal });
      if (ETag !== undefined) return ETag;
      throw new Failure("uncertain", `${this.name} replaced ${key} but answered no ETag`);
      // Amazon answers 404 to If-Match on a key that is not there, others 412.
    }, (status, code) => status === 412 || (status === 404 && code !== "NoSuchBucket"));
  }

  /** The protocol leans on the order and the bounds of a list, so they are checked. */
  #listed(
    contents: NonNullable<ListObjectsV2CommandOutput["Contents"]>,
    prefix: string,
    startAfter: string,
  ): ListedObject[] {
    let last = startAfter;
    return contents.map((found) => {
      const key = (found.Key ?? "").slice(this.#prefix.length);
      if (!key.startsWith(prefix) || (last !== "" && compareKeys(key, last) <= 0)) {
        const where = `after ${JSON.stringify(last)}, prefix ${JSON.stringify(prefix)}`;
        throw new Failure("corrupt", `${this.name} lists ${JSON.stringify(key)} ${where}`);
      }
      last = key;
      const modifiedAtMs = found.LastModified?.getTime() ?? 0;
      return { key, size: found.Size ?? 0, modifiedAtMs };
    });
  }
}

function objectInfo(
  found: { readonly ETag?: string | undefined; readonly LastModified?: Date | undefined },
  size: number,
): ObjectInfo {
  return { size, etag: found.ETag ?? "", modifiedAtMs: found.LastModified?.getTime() ?? 0 };
}
