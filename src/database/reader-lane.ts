/**
 * The reads of one image that wait for a reader, and their way through its gate: one read at the
 * gate stands for a whole batch.
 */
import type { GatedRead, Image } from "./image.ts";
import type { Deferred } from "../base/deferred.ts";
import type { ReadResult } from "./reads.ts";
import type { ReadRequest } from "./statement.ts";
import { READ_BATCH_MAX } from "../base/limits.ts";

export interface PendingRead {
  readonly image: Image;
  readonly request: ReadRequest;
  readonly sinceMs: number;
  readonly done: Deferred<ReadResult>;
  /** It has its outcome; whatever else a reader says of it is dropped. */
  answered: boolean;
  /** Where it is executed; null while it waits. */
  reader: object | null;
  /** It was seen to keep a reader. */
  isLong: boolean;
}

/** Bytes of parameters and SQL, roughly, above which a batch takes no further read. */
const BATCH_CHARACTERS_MAX = 1024 * 1024;

export class Lane {
  readonly image: Image;
  /** In order; those answered meanwhile (deadline) are skipped. */
  #reads: PendingRead[] = [];
  /** Index of the first that was not taken. */
  #taken = 0;
  #long: PendingRead[] = [];
  /** The read at the gate that will take the next batch through. */
  atGate: GatedRead | null = null;

  constructor(image: Image) {
    this.image = image;
  }

  get hasShort(): boolean {
    return this.#taken < this.#reads.length;
  }

  get hasLong(): boolean {
    return this.#long.length > 0;
  }

  get isEmpty(): boolean {
    return !this.hasShort && !this.hasLong;
  }

  /** Of the short ones. */
  get firstSinceMs(): number {
    return this.#reads[this.#taken]?.sinceMs ?? Infinity;
  }

  add(read: PendingRead): void {
    this.#reads.push(read);
  }

  /** Puts reads that have waited longest before all others; long ones wait apart. */
  addFirst(reads: readonly PendingRead[]): void {
    const short = reads.filter((read) => !read.isLong);
    this.#long.push(...reads.filter((read) => read.isLong));
    this.#reads = [...short, ...this.#reads.slice(this.#taken)];
    this.#taken = 0;
  }

  /** A batch of one long read, or of none. */
  takeLong(): PendingRead[] {
    for (;;) {
      const read = this.#long.shift();
      if (!read) return [];
      if (!read.answered) return [read];
    }
  }

  /** The reads of the next batch, which may be none. */
  take(): PendingRead[] {
    const batch: PendingRead[] = [];
    let characters = 0;
    while (batch.length < READ_BATCH_MAX && this.#taken < this.#reads.length) {
      const read = this.#reads[this.#taken];
      if (read && !read.answered) {
        characters += read.request.sql.length + paramsLength(read.request.params);
        if (batch.length > 0 && characters > BATCH_CHARACTERS_MAX) break;
        batch.push(read);
      }
      this.#taken++;
    }
    if (this.#taken === this.#reads.length) {
      this.#reads = [];
      this.#taken = 0;
    } else if (this.#taken > 4 * READ_BATCH_MAX) {
      this.#reads = this.#reads.slice(this.#taken);
      this.#taken = 0;
    }
    return batch;
  }

  /** Takes out all that wait. */
  clear(): readonly PendingRead[] {
    const waiting = this.waiting();
    this.#reads = [];
    this.#taken = 0;
    this.#long = [];
    return waiting;
  }

  /** Those that wait now. */
  waiting(): readonly PendingRead[] {
    return [...this.#reads.slice(this.#taken), ...this.#long].filter((read) => !read.answered);
  }
}

/** Exact for what can be large. */
function paramsLength(params: ReadRequest["params"]): number {
  if (params === undefined) return 0;
  let length = 0;
  for (const value of Array.isArray(params) ? params : Object.values(params)) {
    if (typeof value === "string") length += value.length;
    else if (typeof value === "object" && value !== null && "base64" in value) {
      length += value.base64.length;
    }
  }
  return length;
}
