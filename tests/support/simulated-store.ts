/**
 * An object store as one process sees it over a bad network: each request has a fate, drawn when it
 * is sent. What arrives is applied to the bucket at one moment; what the sender hears of it, and
 * when, is another matter.
 */
import { readFileSync } from "node:fs";
import { Failure } from "../../src/base/failure.ts";
import { STORE_ATTEMPT_MS } from "../../src/base/limits.ts";
import type {
  Body,
  CreateOptions,
  ListOptions,
  ListPage,
  ObjectInfo,
  RequestOptions,
  Store,
  StoredObject,
} from "../../src/store/store.ts";
import type { Bucket } from "./simulated-bucket.ts";
import { type SimulatedClock, type Timeline, WORLD_BEGAN_MS } from "./simulated-clock.ts";
import type { Fate } from "./simulated-weather.ts";

export type Operation = "get" | "getRange" | "head" | "create" | "replace" | "list" | "remove";

export interface SimulatedStoreParts {
  readonly timeline: Timeline;
  readonly clock: SimulatedClock;
  readonly bucket: Bucket;
  /** Who sends: the process's name. */
  readonly sender: string;
  fate(operation: Operation, key: string, sender: string): Fate;
  /** Keys of one page of a list. */
  pageKeys(): number;
  /** What is read in place of an object's bytes. */
  onRead(key: string, bytes: Uint8Array, sender: string): Uint8Array;
  /** Called for each request as it is sent, and for each answer as it is heard. */
  onSent(request: SentRequest): void;
  onHeard(request: SentRequest, outcome: unknown): void;
}

export interface SentRequest {
  readonly operation: Operation;
  readonly key: string;
  readonly sender: string;
  /** Of a create. */
  readonly bytes: Uint8Array | null;
  /** The body was a file: the whole content of a database. */
  readonly isFile: boolean;
}

export class SimulatedStore implements Store {
  readonly name = "simulated:";
  readonly #parts: SimulatedStoreParts;

  constructor(parts: SimulatedStoreParts) {
    this.#parts = parts;
  }

  get(key: string, options?: RequestOptions): Promise<StoredObject | null> {
    const { bucket } = this.#parts;
    return this.#send(request("get", key), options, async () => {
      const found = await bucket.memory.get(key);
      return found && { ...found, bytes: this.#parts.onRead(key, found.bytes, this.#parts.sender) };
    });
  }

  getRange(
    key: string,
    range: { readonly offset: number; readonly length: number },
    options?: RequestOptions,
  ): Promise<Uint8Array | null> {
    const { bucket } = this.#parts;
    return this.#send(request("getRange", key), options, () => bucket.memory.getRange(key, range));
  }

  head(key: string, options?: RequestOptions): Promise<ObjectInfo | null> {
    const { bucket } = this.#parts;
    return this.#send(request("head", key), options, () => bucket.memory.head(key));
  }

  create(key: string, body: Body, options?: CreateOptions): Promise<"created" | "exists"> {
    const { bucket, sender } = this.#parts;
    const isFile = !(body instanceof Uint8Array);
    const bytes = isFile ? new Uint8Array(readFileSync(body.path)) : body.slice();
    const sent = { ...request("create", key), bytes, isFile };
    return this.#send(sent, options, () => bucket.create(key, bytes, { sender, isFile }));
  }

  replace(
    key: string,
    bytes: Uint8Array,
    etag: string | null,
    options?: RequestOptions,
  ): Promise<string | null> {
    const { bucket } = this.#parts;
    const copy = bytes.slice();
    return this.#send(
      request("replace", key),
      options,
      () => bucket.memory.replace(key, copy, etag),
    );
  }

  list(prefix: string, options: ListOptions = {}): Promise<ListPage> {
    const { bucket, pageKeys } = this.#parts;
    const { startAfter } = options;
    const limit = Math.min(options.limit ?? 1000, pageKeys());
    return this.#send(
      request("list", prefix),
      options,
      () => bucket.memory.list(prefix, { limit, ...(startAfter !== undefined && { startAfter }) }),
    );
  }

  remove(keys: readonly string[], options?: RequestOptions): Promise<void> {
    const { bucket, sender } = this.#parts;
    const copy = [...keys];
    return this.#send(
      request("remove", copy[0] ?? ""),
      options,
      () => bucket.remove(copy, sender),
    );
  }

  clockOffsetMs(): number {
    const { timeline, clock } = this.#parts;
    return WORLD_BEGAN_MS + timeline.nowMs - clock.nowMs();
  }

  async close(): Promise<void> {}

  #send<T>(
    plain: Omit<SentRequest, "sender">,
    options: RequestOptions | undefined,
    apply: () => Promise<T>,
  ): Promise<T> {
    const { timeline, clock, sender, fate, onSent, onHeard } = this.#parts;
    const sent: SentRequest = { ...plain, sender };
    // A process that is gone sends nothing and hears nothing.
    if (clock.isStopped) return new Promise(() => {});
    const writes = ["create", "replace", "remove"].includes(sent.operation);
    const failed = (why: string, isCertain: boolean) =>
      new Failure(
        writes && !isCertain ? "uncertain" : "unavailable",
        `Cannot ${sent.operation} ${sent.key}: ${why}`,
      );
    if (options?.signal?.aborted) {
      return Promise.reject(failed("it was cancelled before it began", true));
    }
    onSent(sent);
    const { arrivesMs, answersMs, answer } = fate(sent.operation, sent.key, sender);
    return new Promise<T>((resolve, reject) => {
      let isOver = false;
      const end = (settle: () => void, outcome: unknown) => {
        if (isOver || clock.isStopped) return;
        isOver = true;
        cancelDeadline();
        options?.signal?.removeEventListener("abort", onAbort);
        onHeard(sent, outcome);
        settle();
      };
      const fail = (why: string, isCertain = false) => {
        const failure = failed(why, isCertain);
        end(() => reject(failure), failure.kind);
      };
      const onAbort = () => fail("it was cancelled");
      options?.signal?.addEventListener("abort", onAbort, { once: true });
      const deadlineMs = options?.timeoutMs ?? STORE_ATTEMPT_MS;
      const cancelDeadline = clock.after(deadlineMs, () => fail(`no answer in ${deadlineMs} ms`));
      const answered = (value: T) => {
        if (answersMs === null) return;
        clock.after(answersMs, () => {
          if (answer === "true") end(() => resolve(value), value);
          else if (answer === "exists") end(() => resolve("exists" as T), "exists");
          else fail(`the store answered ${answer}`, answer === "429" || answer === "refused");
        });
      };
      if (arrivesMs !== null) timeline.schedule(arrivesMs, () => void apply().then(answered));
      else answered(undefined as T);
    });
  }
}

function request(operation: Operation, key: string): Omit<SentRequest, "sender"> {
  return { operation, key, bytes: null, isFile: false };
}
