/**
 * The store in memory whose answers a test may hold back, lose or replace, one request at a time.
 * What is sent is written down.
 */
import { readFileSync } from "node:fs";
import type { Clock } from "../../../src/base/clock.ts";
import { deferred } from "../../../src/base/deferred.ts";
import { Failure, type FailureKind } from "../../../src/base/failure.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import type { Body, CreateOptions, ListOptions, Store } from "../../../src/store/store.ts";

export type Operation = "get" | "getRange" | "head" | "create" | "replace" | "list" | "remove";

/** Answers one request; `apply` carries it out. */
export type Fate = (apply: () => Promise<unknown>) => Promise<unknown>;

interface Script {
  readonly operation: Operation;
  readonly key: string;
  readonly fate: Fate;
  timesLeft: number;
}

export class ScriptedStore implements Store {
  readonly name = "scripted:";
  readonly memory: MemoryStore;
  /** "head databases/…", in the order of sending. */
  readonly sent: string[] = [];
  #scripts: Script[] = [];

  constructor(clock: Clock) {
    this.memory = new MemoryStore(clock);
  }

  /** The next requests of this kind, to keys that contain `key`, meet this fate. */
  next(operation: Operation, fate: Fate, { key = "", times = 1 } = {}): void {
    this.#scripts.push({ operation, key, fate, timesLeft: times });
  }

  /** Requests sent so far whose text starts with `start`. */
  count(start: string): number {
    return this.sent.filter((text) => text.startsWith(start)).length;
  }

  get(key: string) {
    return this.#send("get", key, () => this.memory.get(key));
  }

  getRange(key: string, range: { readonly offset: number; readonly length: number }) {
    return this.#send("getRange", key, () => this.memory.getRange(key, range));
  }

  head(key: string) {
    return this.#send("head", key, () => this.memory.head(key));
  }

  create(key: string, body: Body, options?: CreateOptions) {
    // Read when it is sent: a child or a retry may remove the file.
    const bytes = body instanceof Uint8Array
      ? body.slice()
      : new Uint8Array(readFileSync(body.path));
    return this.#send("create", key, () => this.memory.create(key, bytes), options?.signal);
  }

  replace(key: string, bytes: Uint8Array, etag: string | null) {
    const copy = bytes.slice();
    return this.#send("replace", key, () => this.memory.replace(key, copy, etag));
  }

  list(prefix: string, options?: ListOptions) {
    return this.#send("list", prefix, () => this.memory.list(prefix, options));
  }

  remove(keys: readonly string[]) {
    return this.#send("remove", keys[0] ?? "", () => this.memory.remove(keys));
  }

  clockOffsetMs(): number {
    return 0;
  }

  async close(): Promise<void> {}

  /** A signal ends a request whose answer is not there yet, as one that may have been applied. */
  async #send<T>(
    operation: Operation,
    key: string,
    apply: () => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.sent.push(`${operation} ${key}`);
    const script = this.#scripts.find((one) =>
      one.timesLeft > 0 && one.operation === operation && key.includes(one.key)
    );
    if (!script) return await apply();
    script.timesLeft--;
    const ended = deferred<never>();
    ended.promise.catch(() => {});
    const onAbort = () => ended.reject(new Failure("uncertain", `${operation} ${key}: cancelled`));
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([script.fate(apply) as Promise<T>, ended.promise]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** Nothing is applied. */
export function fails(kind: FailureKind): Fate {
  return () => Promise.reject(new Failure(kind, `told to be ${kind}`));
}

/** It is applied, and its answer lost. */
export const answerLost: Fate = async (apply) => {
  await apply();
  throw new Failure("uncertain", "the answer was lost");
};

/** Applied at once or later, and answered when the test says so. */
export function held(when: "before" | "after" = "after") {
  const gate = deferred<void>();
  const arrived = deferred<void>();
  const fate: Fate = async (apply) => {
    const early = when === "before" ? await apply() : null;
    arrived.resolve();
    await gate.promise;
    return when === "before" ? early : await apply();
  };
  return { fate, arrived: arrived.promise, release: () => gate.resolve() };
}
