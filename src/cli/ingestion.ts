/**
 * Files on their way into a table: pieces are read one after the other, and a few are under way at
 * the same time.
 *
 * Memory does not depend on the size of the files. There are at most `CLI_REQUESTS_MAX` bodies under
 * way and one being made, each of a piece of 8 MiB that ends with its last record (16 MiB at most)
 * behind CSV's header; a piece that is cut exists twice for a moment. An array of JSON or an Arrow
 * stream is a body of up to 64 MiB. Decompressing zstd takes the window that its writer chose, at
 * most 128 MiB.
 */
import { Failure, isFailure } from "../base/failure.ts";
import { CLI_REQUESTS_MAX } from "../base/lake-limits.ts";
import type { RowsAnswer, StoredRows } from "../lake/rows-request.ts";
import type { IngestProgress } from "./ingest-progress.ts";
import { type IngestRequest, type KeyParts, requestsOf } from "./ingest-requests.ts";
import type { Source } from "./ingest-source.ts";
import type { RowsSender, SentRows } from "./rows-sender.ts";
import { StoredLines } from "./stored-lines.ts";

export interface IngestionOptions {
  readonly key: KeyParts;
  /** Make the table from the first request if it is not there. */
  readonly create: boolean;
}

export interface Ingested {
  readonly rows: number;
  readonly requests: number;
  /** Of the rows, those that nobody has said to be visible yet. */
  readonly unseen: number;
  /** The newest that an answer named; 0 without rows. Says nothing of those that are unseen. */
  readonly snapshot: number;
  readonly epoch: number;
}

export class Ingestion {
  readonly #sender: Pick<RowsSender, "send">;
  readonly #progress: IngestProgress;
  readonly #options: IngestionOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #stored = new StoredLines();
  #failed: { readonly number: number; readonly failure: unknown } | null = null;
  #requests = 0;
  #unseen = 0;
  #snapshot = 0;
  #epoch = 0;

  constructor(
    sender: Pick<RowsSender, "send">,
    progress: IngestProgress,
    options: IngestionOptions,
  ) {
    this.#sender = sender;
    this.#progress = progress;
    this.#options = options;
  }

  /** Rejects with the first failure, which says what is stored nevertheless. */
  async run(sources: readonly Source[]): Promise<Ingested> {
    try {
      for (const source of sources) await this.#send(source);
    } catch (failure) {
      this.#fail(this.#requests, failure);
    }
    await Promise.all(this.#running);
    if (this.#failed) throw this.#withStored(this.#failed.failure);
    const { rows } = this.#stored;
    return {
      rows,
      requests: this.#requests,
      unseen: this.#unseen,
      snapshot: this.#snapshot,
      epoch: this.#epoch,
    };
  }

  async #send(source: Source): Promise<void> {
    const onRead = (bytes: number) => this.#progress.read(bytes);
    for await (const request of requestsOf(source, this.#options.key, onRead)) {
      const isFirst = this.#requests === 0;
      this.#start(request, isFirst && this.#options.create);
      // The beginning of the first file makes the table, not whichever piece is faster.
      const atMost = isFirst && this.#options.create ? 1 : CLI_REQUESTS_MAX;
      while (this.#running.size >= atMost) await Promise.race(this.#running);
      if (this.#failed) return;
    }
  }

  #start(request: IngestRequest, create: boolean): void {
    const number = this.#requests++;
    const { format, bytes, key } = request;
    const sent: SentRows = { format, bytes, key, create };
    const running = this.#sender.send(sent).then(
      (answer) => this.#done(request, answer),
      (failure) => this.#fail(number, placed(failure, request)),
    ).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #done(request: IngestRequest, answer: RowsAnswer | StoredRows): void {
    const { rows } = answer;
    this.#stored.add(request, rows);
    this.#progress.stored(rows, request.bytes.length);
    // Its epoch is from before the rows.
    if ("stored" in answer) {
      this.#unseen += rows;
      return;
    }
    this.#snapshot = Math.max(this.#snapshot, answer.snapshot);
    this.#epoch = Math.max(this.#epoch, answer.epoch);
  }

  /** What comes first in the files is what is told, whichever failed first. */
  #fail(number: number, failure: unknown): void {
    if (this.#failed === null || number < this.#failed.number) this.#failed = { number, failure };
  }

  #withStored(failure: unknown): unknown {
    if (!isFailure(failure)) return failure;
    const { kind, message, details, cause } = failure;
    return new Failure(kind, `${message}\nStored, and staying so: ${this.#stored.text}`, {
      cause,
      ...(details && { details }),
    });
  }
}

/** Nodes count rows in a request; people look for lines in a file. */
function placed(failure: unknown, { source, lines, place }: IngestRequest): unknown {
  if (!isFailure(failure)) return failure;
  const row = failure.details?.["row"];
  const reason = failure.message.replace(/^Cannot take row \d+: /, "");
  const where = lines === null ? source : `lines ${lines[0]} to ${lines[1]} of ${source}`;
  const message = typeof row === "number"
    ? `Cannot take ${place(row)}: ${reason}`
    : `Cannot store ${where}: ${failure.message}`;
  const { kind, details, cause } = failure;
  return new Failure(kind, message, { cause, ...(details && { details }) });
}
