/**
 * Requests that wait at the owner. Bounded in number and bytes; each has a deadline, at which it is
 * answered: `unavailable` while it waits, `uncertain` once its batch has begun to execute (I7).
 */
import { type Deferred, deferred } from "../base/deferred.ts";
import { Failure } from "../base/failure.ts";
import { QUEUE_BYTES_MAX, QUEUE_REQUESTS_MAX } from "../base/limits.ts";
import type { WriteRequest } from "../database/statement.ts";

export interface WriteAnswer {
  /** Complete JSON text. */
  readonly text: string;
  readonly epoch: number;
}

export interface PendingWrite {
  readonly id: number;
  readonly request: WriteRequest;
  readonly bytes: number;
  readonly answer: Deferred<WriteAnswer>;
  /** True once it was answered, by its deadline or by its outcome. */
  answered: boolean;
}

export class WriteQueue {
  readonly #database: string;
  #waiting: PendingWrite[] = [];
  #first = 0;
  #bytes = 0;
  #ids = 0;
  /** No request that waits has an earlier deadline. */
  #soonestMs = Infinity;

  constructor(database: string) {
    this.#database = database;
  }

  get length(): number {
    return this.#waiting.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a request at the end. Throws `busy` when the queue is full. */
  add(request: WriteRequest): PendingWrite {
    const bytes = requestBytes(request);
    if (this.length >= QUEUE_REQUESTS_MAX || this.#bytes + bytes > QUEUE_BYTES_MAX) {
      throw new Failure(
        "busy",
        `Cannot queue a write to ${this.#database}: ${this.length} requests of ${this.#bytes} bytes wait already`,
        { retryAfterMs: 100 },
      );
    }
    const pending: PendingWrite = {
      id: ++this.#ids,
      request,
      bytes,
      answer: deferred(),
      answered: false,
    };
    this.#waiting.push(pending);
    this.#bytes += bytes;
    this.#soonestMs = Math.min(this.#soonestMs, request.deadlineMs);
    return pending;
  }

  /** Takes from the front, within limits; the first is always taken. Skips what was answered. */
  take(requestsMax: number, bytesMax: number): PendingWrite[] {
    const taken: PendingWrite[] = [];
    let bytes = 0;
    while (this.#first < this.#waiting.length && taken.length < requestsMax) {
      const pending = this.#waiting[this.#first];
      if (pending === undefined) break;
      if (!pending.answered && taken.length > 0 && bytes + pending.bytes > bytesMax) break;
      this.#first++;
      this.#bytes -= pending.bytes;
      if (pending.answered) continue;
      bytes += pending.bytes;
      taken.push(pending);
    }
    if (this.#first > 1_024 && this.#first * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return taken;
  }

  /** Puts back to the front, in order, what an epoch had no room for. */
  putBack(requests: readonly PendingWrite[]): void {
    const open = requests.filter((pending) => !pending.answered);
    this.#waiting = [...open, ...this.#waiting.slice(this.#first)];
    this.#first = 0;
    for (const pending of open) this.#bytes += pending.bytes;
    this.#soonestMs = -Infinity;
  }

  /** Answers everything whose deadline has passed. */
  expire(nowMs: number): void {
    if (nowMs < this.#soonestMs) return;
    this.#soonestMs = Infinity;
    for (let at = this.#first; at < this.#waiting.length; at++) {
      const pending = this.#waiting[at];
      if (!pending || pending.answered) continue;
      if (pending.request.deadlineMs > nowMs) {
        this.#soonestMs = Math.min(this.#soonestMs, pending.request.deadlineMs);
      } else {
        reject(
          pending,
          new Failure(
            "unavailable",
            `The write to ${this.#database} reached its deadline before it was executed; nothing was done`,
            { details: { reason: "deadline" } },
          ),
        );
      }
    }
  }

  /** Answers everything that waits with one failure, and empties the queue. */
  refuse(failure: Failure): void {
    for (const pending of this.take(Infinity, Infinity)) reject(pending, failure);
  }
}

export function resolve(pending: PendingWrite, answer: WriteAnswer): void {
  if (pending.answered) return;
  pending.answered = true;
  pending.answer.resolve(answer);
}

export function reject(pending: PendingWrite, failure: Failure): void {
  if (pending.answered) return;
  pending.answered = true;
  pending.answer.reject(failure);
}

/** Bytes of text in a request, near enough for limits. */
function requestBytes(request: WriteRequest): number {
  let bytes = 64;
  for (const statement of request.statements) {
    bytes += statement.sql.length + 32;
    const { params = [] } = statement;
    for (const value of Array.isArray(params) ? params : Object.values(params)) {
      if (typeof value === "string") bytes += value.length;
      else if (typeof value === "object" && value !== null && "base64" in value) {
        bytes += value.base64.length;
      } else bytes += 16;
    }
  }
  return bytes;
}
