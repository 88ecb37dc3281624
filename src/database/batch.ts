/**
 * The open batch in a writer: requests execute together in one SQLite transaction, each in its own
 * savepoint, and become one epoch (PROTOCOL section 4). Where savepoints do not isolate (a request
 * that ends the transaction, too much for one epoch) the batch runs again, one transaction a request,
 * in the same log and still as one epoch. Where the schema has deferred constraints it runs so from
 * the start: one request's violation could be healed by the next before anybody sees it.
 */
import type { Database, Statement } from "bun:sqlite";
import { EPOCH_BYTES_MAX, RESULT_BYTES_MAX, WORKSPACE_LOG_BYTES_MAX } from "../base/limits.ts";
import type { Capture } from "./capture.ts";
import type { RequestOutcome, RequestRunner } from "./run-request.ts";
import { sqlFailure, sqliteCode } from "./sql-error.ts";
import type { WriteRequest } from "./statement.ts";
import type { WalCommits } from "./wal.ts";
import { fullFailure } from "./writer-failure.ts";

/** `putOff`: none of its effects is in this epoch; it belongs to the next. */
export type BatchOutcome = RequestOutcome | { readonly kind: "putOff" };

export interface BatchEntry {
  /** Says in the progress file which request runs. */
  readonly serial: number;
  readonly request: WriteRequest;
  readonly nowMs: number;
}

export interface BatchParts {
  readonly database: Database;
  readonly capture: Capture;
  readonly runner: RequestRunner;
  readonly pageSize: number;
  /** Room left where the database is. */
  freeBytes(): number;
  /** Called with each request's serial when it begins, and with 0 when none runs. */
  onProgress(serial: number): void;
  /** The next outcome, in the order of the entries. */
  onOutcome(outcome: BatchOutcome): void;
  /** Every outcome so far is void; those of all entries follow again. */
  onAgain(): void;
}

export interface BatchOptions {
  /** One transaction a request from the start. */
  readonly alone: boolean;
  /** What `commit` will say too, as far as is known. */
  readonly epochBytesMax: number;
}

/**
 * - `together`  in one open transaction, or none has begun
 * - `alone`     one transaction a request
 * - `full`      the rest is put off: the epoch is as large as it may be
 * - `overrun`   commits are in the log that no epoch may hold: it must be cut before anything else
 */
type State = "together" | "alone" | "full" | "overrun";

/** What must be cut away. `serial`: that request alone does not fit; null: the batch as a whole. */
export interface Overflow {
  readonly serial: number | null;
  readonly pages: number;
}

export class Batch {
  readonly #parts: BatchParts;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #rollback: Statement;
  #state: State = "together";
  #entries: BatchEntry[] = [];
  /** The next epoch. */
  #epoch: number;
  #epochBytesMax = EPOCH_BYTES_MAX;
  #resultBytes = 0;
  #overflow: Overflow | null = null;
  /** Whether a request of the open transaction succeeded that may have changed something. */
  #isWritten = false;
  /** Where the log ended when the batch began, to bound what it writes. */
  #logStart = 0;

  constructor(parts: BatchParts, epoch: number) {
    this.#parts = parts;
    this.#epoch = epoch;
    this.#begin = parts.database.prepare("BEGIN IMMEDIATE");
    this.#commit = parts.database.prepare("COMMIT");
    this.#rollback = parts.database.prepare("ROLLBACK");
  }

  get isOpen(): boolean {
    return this.#entries.length > 0;
  }

  /** Set when the log must be cut and the batch run again; nothing executes any more. */
  get overflow(): Overflow | null {
    return this.#overflow;
  }

  /** True when commits behind the accepted ones must be cut away. */
  get mustCut(): boolean {
    return this.#state === "overrun";
  }

  /** `options` hold for a whole batch: its first call decides. */
  add(entries: readonly BatchEntry[], options: BatchOptions): void {
    if (!this.isOpen) this.#open(options);
    for (const entry of entries) {
      if (this.#overflow !== null) break;
      this.#entries.push(entry);
      this.#execute(entry);
    }
    this.#parts.onProgress(0);
  }

  /** Commits what is open, and accepts it for the next epoch unless `overflow` is set. */
  commit(epochBytesMax: number): void {
    if (this.#overflow !== null) return;
    if (epochBytesMax !== this.#epochBytesMax) {
      this.#epochBytesMax = epochBytesMax;
      if (this.#state !== "together" && this.isOpen) this.#overflow = this.#recount();
    }
    if (this.#parts.database.inTransaction) this.#commitTogether();
    this.#parts.onProgress(0);
  }

  /** The batch is taken; the next one makes epoch `epoch`. */
  close(epoch: number): void {
    this.#entries = [];
    this.#epoch = epoch;
    if (this.#state !== "overrun") this.#state = "together";
  }

  #open({ alone, epochBytesMax }: BatchOptions): void {
    const { capture, runner } = this.#parts;
    this.#epochBytesMax = epochBytesMax;
    this.#state = alone || runner.mayDefer ? "alone" : "together";
    this.#resultBytes = 0;
    this.#logStart = capture.position?.offset ?? 0;
    this.#limitGrowth();
  }

  #execute(entry: BatchEntry): void {
    switch (this.#state) {
      case "together":
        return this.#executeTogether(entry);
      case "alone":
        return this.#executeAlone(entry);
      case "full":
      case "overrun":
        return this.#parts.onOutcome({ kind: "putOff" });
    }
  }

  #executeTogether(entry: BatchEntry): void {
    const { database, runner } = this.#parts;
    if (!database.inTransaction) {
      this.#isWritten = false;
      this.#begin.run();
    }
    const outcome = this.#run(entry);
    const wasEnded = !database.inTransaction;
    if (wasEnded || isFull(outcome) || runner.mayDefer) return this.#again();
    if (outcome.kind === "done" && runner.hasWritten) this.#isWritten = true;
    this.#answer(outcome);
    if (this.#resultBytes <= RESULT_BYTES_MAX || this.#entries.length === 1) return;
    // Answers wait in memory until the epoch is durable.
    this.#state = "full";
  }

  /** One transaction for each request; afterwards only the guilty has failed. */
  #again(): void {
    const { database, runner } = this.#parts;
    if (database.inTransaction) this.#rollback.run();
    runner.forgetStatements();
    this.#parts.onAgain();
    this.#state = "alone";
    this.#resultBytes = 0;
    for (const entry of this.#entries) {
      if (this.#overflow !== null) return;
      this.#execute(entry);
    }
  }

  #executeAlone(entry: BatchEntry): void {
    const { database, capture } = this.#parts;
    this.#begin.run();
    let outcome = this.#run(entry);
    if (database.inTransaction) outcome = this.#commitAlone(outcome);
    else this.#parts.runner.forgetStatements();
    if (isFull(outcome)) {
      if (capture.hasChanges) {
        this.#state = "full";
        return this.#parts.onOutcome({ kind: "putOff" });
      }
      const failure = fullFailure(outcome.failure, this.#epochBytesMax, this.#parts.freeBytes());
      outcome = { ...outcome, failure };
    }
    const commits = capture.scan();
    if (commits !== null && !this.#accept(commits, entry)) return;
    this.#answer(outcome);
    const logBytes = (capture.position?.offset ?? 0) - this.#logStart;
    if (this.#resultBytes > RESULT_BYTES_MAX || logBytes > WORKSPACE_LOG_BYTES_MAX / 2) {
      this.#state = "full";
    }
  }

  /** A deferred constraint passes the savepoint and fails here. */
  #commitAlone(outcome: RequestOutcome): RequestOutcome {
    if (outcome.kind === "failed") {
      this.#rollback.run();
      return outcome;
    }
    try {
      this.#commit.run();
      return outcome;
    } catch (error) {
      if (this.#parts.database.inTransaction) this.#rollback.run();
      this.#parts.runner.forgetStatements();
      const isFull = sqliteCode(error) === "SQLITE_FULL";
      return { kind: "failed", failure: sqlFailure(error, "The commit failed"), isFull };
    }
  }

  #commitTogether(): void {
    const { capture } = this.#parts;
    // Pages that a failed request changed and got back would go into the log all the same.
    if (!this.#isWritten) return void this.#rollback.run();
    try {
      this.#commit.run();
    } catch {
      // Which request is guilty shows when each commits by itself.
      return this.#again();
    }
    const commits = capture.scan();
    if (commits === null) return;
    const pages = capture.pagesWith(commits);
    if (pages <= this.#pagesMax) return capture.accept(commits);
    const [first] = this.#entries;
    this.#overflow = { serial: this.#entries.length === 1 ? first?.serial ?? null : null, pages };
  }

  /** False when this request's commit is too much for the epoch. */
  #accept(commits: WalCommits, entry: BatchEntry): boolean {
    const { capture } = this.#parts;
    const pages = capture.pagesWith(commits);
    if (pages <= this.#pagesMax) {
      capture.accept(commits);
      return true;
    }
    if (capture.hasChanges) {
      this.#state = "overrun";
      this.#parts.onOutcome({ kind: "putOff" });
    } else {
      this.#overflow = { serial: entry.serial, pages };
    }
    return false;
  }

  /** The limit of this epoch became known after requests had been accepted under another. */
  #recount(): Overflow | null {
    const pages = this.#parts.capture.pagesAccepted;
    return pages <= this.#pagesMax ? null : { serial: null, pages };
  }

  #run({ serial, request, nowMs }: BatchEntry): RequestOutcome {
    this.#parts.onProgress(serial);
    return this.#parts.runner.run(request, { epoch: this.#epoch, nowMs });
  }

  #answer(outcome: RequestOutcome): void {
    if (outcome.kind === "done") this.#resultBytes += outcome.result.length;
    if (outcome.kind === "replayed") this.#resultBytes += outcome.answer.length;
    this.#parts.onOutcome(outcome);
  }

  get #pagesMax(): number {
    return Math.max(1, Math.floor(this.#epochBytesMax / this.#parts.pageSize));
  }

  /** SQLite itself stops what would make the database grow by more than an epoch holds. */
  #limitGrowth(): void {
    const { database, capture } = this.#parts;
    database.run(`PRAGMA main.max_page_count = ${capture.commit + this.#pagesMax}`);
  }
}

function isFull(outcome: RequestOutcome): outcome is RequestOutcome & { kind: "failed" } {
  return outcome.kind === "failed" && outcome.isFull;
}
