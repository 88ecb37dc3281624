/**
 * The requests that one epoch answers. They are held until the epoch's outcome is certain (I3);
 * only a deadline answers one before, with `uncertain` (I7).
 */
import { Failure } from "../base/failure.ts";
import { CHANGED } from "../database/expected.ts";
import type { Answer, AnswerFailure } from "../database/workspace.ts";
import { type PendingWrite, reject, resolve } from "./write-queue.ts";

export class Batch {
  readonly #database: string;
  readonly #requests = new Map<number, PendingWrite>();
  #answers: readonly Answer[] = [];
  /** How many of them were given. */
  #told = 0;
  #bytes = 0;
  /** No request without an answer has an earlier deadline. */
  #soonestMs = Infinity;

  constructor(database: string) {
    this.#database = database;
  }

  get size(): number {
    return this.#requests.size;
  }

  /** Bytes of all requests that were ever in it. */
  get bytes(): number {
    return this.#bytes;
  }

  add(requests: readonly PendingWrite[]): void {
    for (const pending of requests) {
      this.#requests.set(pending.id, pending);
      this.#bytes += pending.bytes;
      this.#soonestMs = Math.min(this.#soonestMs, pending.request.deadlineMs);
    }
  }

  /** Keeps the answers for the day of the outcome; returns the requests that were put off, in order. */
  executed(answers: readonly Answer[], putOff: readonly number[]): PendingWrite[] {
    this.#answers = answers;
    const later: PendingWrite[] = [];
    for (const id of putOff) {
      const pending = this.#requests.get(id);
      if (pending) later.push(pending);
      this.#requests.delete(id);
    }
    return later;
  }

  /**
   * The batch is durable (or proved to have changed nothing) at `epoch`: answers at most `count`
   * more requests. False when none is left.
   */
  answer(epoch: number, count = Infinity): boolean {
    const end = Math.min(this.#answers.length, this.#told + count);
    while (this.#told < end) {
      const answer = this.#answers[this.#told++];
      if (!answer) break;
      const pending = this.#requests.get(answer.id);
      this.#requests.delete(answer.id);
      if (!pending) continue;
      if (answer.kind === "failed") reject(pending, failureOf(answer.failure, epoch));
      else if (answer.kind === "replayed") resolve(pending, { text: answer.answer, epoch });
      else resolve(pending, { text: `{${answer.result},"epoch":${epoch}}`, epoch });
    }
    if (this.#told < this.#answers.length) return true;
    this.refuse(
      new Failure("uncertain", `A write to ${this.#database} was executed without an answer`),
    );
    return false;
  }

  /** Nothing of the batch is durable, or nobody knows: all get the same failure. */
  refuse(failure: Failure): void {
    for (const pending of this.#requests.values()) reject(pending, failure);
    this.#requests.clear();
  }

  /** Answers those whose deadline passed before `nowMs`. Their effects may yet become durable. */
  expire(nowMs: number): void {
    if (nowMs < this.#soonestMs) return;
    this.#soonestMs = Infinity;
    for (const pending of this.#requests.values()) {
      if (pending.answered) continue;
      if (pending.request.deadlineMs > nowMs) {
        this.#soonestMs = Math.min(this.#soonestMs, pending.request.deadlineMs);
        continue;
      }
      reject(
        pending,
        new Failure(
          "uncertain",
          `The write to ${this.#database} reached its deadline before its outcome was known; ` +
            "only an idempotency key makes it safe to send again",
        ),
      );
    }
  }

  /** Answers one request at once with a failure that does not depend on what the database holds. */
  ended(id: number, failure: AnswerFailure): void {
    const pending = this.#requests.get(id);
    if (pending) reject(pending, failureOf(failure));
  }
}

/** `epoch` is the one in which a transaction finds what has changed under it. */
function failureOf({ kind, message, details }: AnswerFailure, epoch?: number): Failure {
  if (details === undefined) return new Failure(kind, message);
  const isChange = epoch !== undefined && details["reason"] === CHANGED;
  return new Failure(kind, message, { details: isChange ? { ...details, epoch } : details });
}
