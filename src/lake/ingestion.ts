/**
 * Rows that clients bring to this node, for any table of any lake. Everybody is answered by their
 * deadline, bodies that wait have a limit together, and a request with a key that is being stored
 * here already gets the answer of the first.
 */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { LAKE_LOOK_MS, LAKE_WAITING_BYTES_MAX, LAKE_WAITING_MAX } from "../base/lake-limits.ts";
import { BodyRoom } from "./body-room.ts";
import type { TableName } from "./catalog/read-tables.ts";
import { Intake, type RunJob } from "./intake.ts";
import { otherRequest } from "./kept-keys.ts";
import { LakeCatalog } from "./lake-catalog.ts";
import { RowsJob } from "./rows-job.ts";
import type { RowsAnswer, RowsRequest, StoredRows } from "./rows-request.ts";
import { StagedJob, type StagedJobParts } from "./staged-job.ts";
import { WaitingRows } from "./waiting-rows.ts";

export interface IngestionOptions extends StagedJobParts {
  readonly clock: Clock;
  catalog(lake: string): LakeCatalog;
}

type IntakeKind = "visible" | "stored" | "stored alone";

export class Ingestion {
  /** For the body of each request, from before it arrives until it is answered. */
  readonly room = new BodyRoom({
    bodiesMax: LAKE_WAITING_MAX,
    bytesMax: LAKE_WAITING_BYTES_MAX,
  });
  readonly #options: IngestionOptions;
  readonly #intakes = new Map<string, Intake>();
  readonly #waiting = new Set<WaitingRows>();
  readonly #keyed = new Map<
    string,
    { readonly hash: string; readonly answer: Promise<RowsAnswer | StoredRows> }
  >();
  #cancelLook: (() => void) | null = null;

  constructor(options: IngestionOptions) {
    this.#options = options;
  }

  /**
   * Stores all rows of the body or none. Who asks for `ack: "stored"` is told how they are stored, or
   * that they are visible, where the request was done before. Rejects with `invalid` (details: row,
   * column), `missing`, `conflict` (key), `too_large`, `busy`, `unavailable`, or `uncertain` where
   * only a key makes it safe to ask again.
   */
  async store(request: RowsRequest): Promise<RowsAnswer | StoredRows> {
    const { key, ack = "visible" } = request;
    // Whoever waits for rows to be visible is not answered by what is only stored.
    const name = key && [request.lake, ack, key.subject, key.key].join("\n");
    const first = name === undefined ? undefined : this.#keyed.get(name);
    if (first && key) {
      if (first.hash !== key.hash) throw otherRequest(key.key);
      return await this.#joined(first.answer, request.deadlineMs);
    }
    const waiting = new WaitingRows(request);
    this.#add(waiting);
    if (name !== undefined && key) {
      this.#keyed.set(name, { hash: key.hash, answer: waiting.answer });
    }
    try {
      return await waiting.answer;
    } finally {
      this.#waiting.delete(waiting);
      if (name !== undefined) this.#keyed.delete(name);
    }
  }

  /** The answer of the request that came first, which may have longer to wait than this one. */
  async #joined(
    answer: Promise<RowsAnswer | StoredRows>,
    deadlineMs: number,
  ): Promise<RowsAnswer | StoredRows> {
    const { clock } = this.#options;
    const late = Promise.withResolvers<never>();
    const waitMs = Math.max(0, deadlineMs - clock.monotonicMs());
    const cancel = clock.after(waitMs, () => late.reject(inDoubt()));
    try {
      return await Promise.race([answer, late.promise]);
    } finally {
      cancel();
    }
  }

  close(failure: Failure): void {
    this.#cancelLook?.();
    for (const waiting of this.#waiting) waiting.failed(waiting.isSent ? inDoubt() : failure);
  }

  #add(waiting: WaitingRows): void {
    const { lake, table, ack = "visible", key } = waiting.request;
    this.#waiting.add(waiting);
    this.#cancelLook ??= this.#options.clock.after(LAKE_LOOK_MS, () => this.#look());
    const kind = ack === "visible" ? ack : key === undefined ? "stored" : "stored alone";
    const name = [lake, table.schema, table.name, kind].join("\n").toLowerCase();
    let intake = this.#intakes.get(name);
    if (!intake) {
      intake = this.#intakeOf(lake, table, kind, () => this.#intakes.delete(name));
      this.#intakes.set(name, intake);
    }
    intake.add(waiting);
  }

  #intakeOf(lake: string, table: TableName, kind: IntakeKind, onIdle: () => void): Intake {
    const catalog = this.#options.catalog(lake);
    const Job = kind === "visible" ? RowsJob : StagedJob;
    const run: RunJob = (requests, terms) =>
      new Job(this.#options, catalog, table, requests, terms).run();
    return kind === "stored alone" ? new Intake(run, onIdle, 1) : new Intake(run, onIdle);
  }

  /** Answers those whose deadline has come. */
  #look(): void {
    this.#cancelLook = null;
    const nowMs = this.#options.clock.monotonicMs();
    for (const waiting of this.#waiting) {
      if (waiting.request.deadlineMs > nowMs || waiting.isAnswered) continue;
      waiting.failed(waiting.isSent ? inDoubt() : pastDeadline());
    }
    // Jobs may take long, and clients that do not wait for them could fill the memory.
    for (const intake of this.#intakes.values()) intake.forgetAnswered();
    if (this.#waiting.size === 0) return;
    this.#cancelLook = this.#options.clock.after(LAKE_LOOK_MS, () => this.#look());
  }
}

function pastDeadline(): Failure {
  return new Failure("unavailable", "Cannot store rows before the deadline; nothing was stored", {
    details: { reason: "deadline" },
  });
}

function inDoubt(): Failure {
  return new Failure("uncertain", "The rows were being stored at the deadline; they may be there");
}
