/**
 * The pool of reader processes: takes reads in, as many as may wait, and gives results out. Which
 * process executes what is the dispatcher's.
 */
import { mkdirSync, rmSync } from "node:fs";
import { deferred } from "../base/deferred.ts";
import type { Failure } from "../base/failure.ts";
import { READS_WAITING_MAX, RESULT_FILES_BYTES_MAX } from "../base/limits.ts";
import type { Image } from "./image.ts";
import { nodeCloses, tooManyResults, tooManyWait } from "./read-failures.ts";
import type { CrewOptions } from "./reader-crew.ts";
import { Dispatcher } from "./reader-dispatch.ts";
import type { PendingRead } from "./reader-lane.ts";
import type { Result, ResultFile } from "./reader-message.ts";
import type { Readers, ReadResult } from "./reads.ts";
import { checkStatement } from "./rules.ts";
import { toFailure } from "./sql-error.ts";
import type { ReadRequest } from "./statement.ts";

export interface ReaderPoolOptions extends CrewOptions {
  /** Memory of a reader above which its read is ended. */
  readonly childBytesMax?: number;
  /** Reads without an outcome above which the next is `busy`. */
  readonly readsWaitingMax?: number;
}

export function createReaders(options: ReaderPoolOptions): Readers {
  return new ReaderPool(options);
}

class ReaderPool implements Readers {
  readonly #options: ReaderPoolOptions;
  readonly #dispatcher: Dispatcher;
  /** Reads without an outcome. */
  #pending = 0;
  /** Results in files that their receivers have. */
  #fileBytes = 0;
  #closed = false;

  constructor(options: ReaderPoolOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true });
    this.#dispatcher = new Dispatcher(options, {
      answer: (read, result, epoch) => this.#answer(read, result, epoch),
      fail: (read, failure) => this.#fail(read, failure),
    });
  }

  query(image: Image, request: ReadRequest): Promise<ReadResult> {
    try {
      this.#admit();
      checkStatement(request.sql, "query");
    } catch (error) {
      return Promise.reject(error);
    }
    const read: PendingRead = {
      image,
      request,
      sinceMs: this.#options.clock.monotonicMs(),
      done: deferred(),
      answered: false,
      reader: null,
      isLong: false,
    };
    this.#pending++;
    this.#dispatcher.add(read);
    return read.done.promise;
  }

  forget(image: Image): Promise<void> {
    return this.#dispatcher.forget(image);
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#dispatcher.close();
  }

  #admit(): void {
    if (this.#closed) throw nodeCloses();
    if (this.#pending >= (this.#options.readsWaitingMax ?? READS_WAITING_MAX)) {
      throw tooManyWait(this.#pending);
    }
    if (this.#fileBytes >= RESULT_FILES_BYTES_MAX) throw tooManyResults(this.#fileBytes);
  }

  #answer(read: PendingRead, result: Result, epoch: number): void {
    if (typeof result === "object" && "failure" in result) {
      return this.#fail(read, toFailure(result.failure));
    }
    if (read.answered) {
      if (typeof result !== "string") rmSync(result.path, { force: true });
      return;
    }
    read.answered = true;
    this.#pending--;
    read.done.resolve(
      typeof result === "string"
        ? { kind: "text", text: result, epoch }
        : { kind: "file", ...result, epoch, done: this.#held(result) },
    );
  }

  /** What the receiver calls when it is done with the file, any number of times. */
  #held({ path, size }: ResultFile): () => void {
    this.#fileBytes += size;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#fileBytes -= size;
      rmSync(path, { force: true });
    };
  }

  #fail(read: PendingRead, failure: Failure): void {
    if (read.answered) return;
    read.answered = true;
    this.#pending--;
    read.done.reject(failure);
  }
}
