/**
 * Some requests for one table, stored together: their bodies are read by a loader, files go into the
 * store, and one change of the catalog makes all rows visible, or none. A request whose rows do not
 * fit fails alone. What was decided by an old notion of the table is decided again.
 */
import { rm } from "node:fs/promises";
import { Failure, isFailure } from "../base/failure.ts";
import { LOAD_INLINED_BYTES_MAX } from "../base/lake-limits.ts";
import type { LakeTable, TableName } from "./catalog/read-tables.ts";
import { findKeys, isKeyTaken, keepKeys, type KeptAnswer, otherRequest } from "./kept-keys.ts";
import type { JobTerms } from "./intake.ts";
import { type KnownTables, ofTable } from "./known-tables.ts";
import { runJob } from "./job-loop.ts";
import type { Asked, LakeCatalog } from "./lake-catalog.ts";
import type { CatalogRead } from "./lake-databases.ts";
import { fittingRows } from "./fitting-rows.ts";
import { makeTable, noTable } from "./make-table.ts";
import { dataName, type LakeFiles } from "./lake-files.ts";
import type { Loaders } from "./load/loaders.ts";
import type { BodyPlace, Loaded, LoadedFile } from "./load/message.ts";
import type { WaitingRows } from "./waiting-rows.ts";

export interface JobParts {
  readonly loaders: Loaders;
  readonly files: LakeFiles;
  readonly tables: KnownTables;
  /** Random, for names of files and for the catalog. */
  uuid(): string;
}

export class RowsJob {
  readonly #parts: JobParts;
  readonly #catalog: LakeCatalog;
  readonly #table: TableName;
  readonly #deadlineMs: number;
  readonly #terms: JobTerms;
  #left: readonly WaitingRows[];

  constructor(
    parts: JobParts,
    catalog: LakeCatalog,
    table: TableName,
    requests: readonly WaitingRows[],
    terms: JobTerms,
  ) {
    this.#parts = parts;
    this.#catalog = catalog;
    this.#table = table;
    this.#left = requests;
    this.#terms = terms;
    // Each is answered at its own deadline; the work may serve those that have longer.
    this.#deadlineMs = Math.max(...requests.map(({ request }) => request.deadlineMs));
  }

  /** Answers every request. Never rejects. */
  run(): Promise<void> {
    return runJob({
      files: this.#parts.files,
      table: this.#table,
      left: () => this.#left,
      attempt: (bodies) => this.#store(bodies),
    });
  }

  /** One attempt; what is still to be done stays in `#left`. */
  async #store(bodies: ReadonlyMap<WaitingRows, BodyPlace>): Promise<void> {
    if (await this.#isKnownHere()) return;
    const table = await this.#find(bodies);
    if (table === null) return;
    const places = this.#left.flatMap((waiting) => bodies.get(waiting) ?? []);
    const name = dataName(this.#parts.uuid());
    const loaded = await this.#parts.loaders.load({
      table,
      bodies: places,
      inlineBytesMax: this.#terms.isBulk ? 0 : LOAD_INLINED_BYTES_MAX,
      output: { path: await this.#parts.files.temporary("file"), name },
    }, this.#deadlineMs);
    this.#terms.onLoaded();
    try {
      const allFit = loaded.bodies.every((outcome) => "rows" in outcome);
      if (!allFit && (await this.#isOutOfDate(table) || await this.#answeredBefore())) return;
      const fitting = fittingRows(this.#left, loaded);
      this.#left = [...fitting.keys()];
      await this.#commit(table, loaded, fitting);
    } finally {
      await Promise.all(loaded.files.map(({ path }) => rm(path, { force: true })));
    }
  }

  /** The table, made if some request wants that; null when it has to be looked for again. */
  async #find(bodies: ReadonlyMap<WaitingRows, BodyPlace>): Promise<LakeTable | null> {
    const table = await this.#parts.tables.find(this.#catalog, this.#table, this.#deadlineMs);
    if (table !== null) return table;
    if (await this.#answeredBefore()) return null;
    this.#answer(({ request }) => !request.create, () => {
      throw noTable(this.#catalog, this.#table);
    });
    const [first] = this.#left;
    const body = first && bodies.get(first);
    if (!first || !body) return null;
    try {
      return await makeTable(this.#parts, this.#catalog, {
        ...{ name: this.#table, body, deadlineMs: this.#deadlineMs },
      });
    } catch (error) {
      // Somebody else was faster: it is found now.
      if (refusalOf(error) === "name_taken") return null;
      this.#answer((waiting) => waiting === first, () => {
        throw error;
      });
      return null;
    }
  }

  /** A row that does not fit may fit the table as it is now. */
  async #isOutOfDate(table: LakeTable): Promise<boolean> {
    const freshness = { level: "linearizable", deadlineMs: this.#deadlineMs } as const;
    const now = await this.#parts.tables.refresh(this.#catalog, this.#table, freshness);
    return now?.uuid !== table.uuid || now.version !== table.version;
  }

  /** Much that is sent again is not read and uploaded again, where its key has come to this node. */
  async #isKnownHere(): Promise<boolean> {
    const bytes = this.#left.reduce((sum, { request }) => sum + request.body.length, 0);
    if (bytes < LOAD_INLINED_BYTES_MAX || !this.#left.some(({ request }) => request.key)) {
      return false;
    }
    // A copy that is behind may be of a lake that was dropped: what is found has to hold at the leader.
    const isFound = await this.#findKept("local").then(
      ({ value }) => value.length > 0,
      () => false,
    );
    return isFound && await this.#answeredBefore();
  }

  /** What fits the lake no more may have fitted when it was stored. True if somebody was answered. */
  async #answeredBefore(): Promise<boolean> {
    const before = this.#left.length;
    if (this.#left.some(({ request }) => request.key)) await this.#answerKnown();
    return this.#left.length < before;
  }

  async #commit(
    table: LakeTable,
    { change, files }: Loaded,
    fitting: ReadonlyMap<WaitingRows, number>,
  ): Promise<void> {
    if (change === null || this.#left.length === 0) return;
    // Somebody was told at the deadline that nothing of it is stored: once more, without it.
    if (this.#left.some(({ isAnswered }) => isAnswered)) return this.#forgetAnswered();
    await Promise.all(files.map((file) => this.#upload(file)));
    if (this.#left.some(({ isAnswered }) => isAnswered)) return this.#forgetAnswered();
    const keys = this.#left.flatMap((waiting) => {
      const { key } = waiting.request;
      return key ? [{ ...key, rows: fitting.get(waiting) ?? 0 }] : [];
    });
    const more = keys.length > 0 ? [keepKeys(keys, this.#catalog.storeMs)] : [];
    for (const waiting of this.#left) waiting.isSent = true;
    try {
      const deadlineMs = this.#deadlineMs;
      const changed = await this.#catalog.change(ofTable(table, change), { deadlineMs, more });
      for (const waiting of this.#left) {
        waiting.done({ rows: fitting.get(waiting) ?? 0, ...changed });
      }
      this.#left = [];
      if (files.length === 0) this.#parts.tables.opened(this.#catalog, this.#table, table);
    } catch (error) {
      await this.#again(error);
    }
  }

  #forgetAnswered(): void {
    this.#left = this.#left.filter(({ isAnswered }) => !isAnswered);
  }

  /** What is to be tried again after a change was refused; throws what is final. */
  async #again(error: unknown): Promise<void> {
    const isRefused = isFailure(error) && !isFailure(error, "uncertain");
    if (isRefused) { for (const waiting of this.#left) waiting.isSent = false; }
    if (isKeyTaken(error)) {
      return await this.#answerKnown().catch((cause) => {
        throw new Failure("uncertain", "Rows with one of these keys are there", { cause });
      });
    }
    if (!OUT_OF_DATE.has(refusalOf(error))) throw error;
    // What this node has may be as old as what was refused.
    const freshness = { level: "linearizable", deadlineMs: this.#deadlineMs } as const;
    await this.#parts.tables.refresh(this.#catalog, this.#table, freshness);
  }

  #findKept(level: CatalogRead["level"]): Promise<Asked<readonly KeptAnswer[]>> {
    const keyed = this.#left.flatMap(({ request }) => request.key ?? []);
    return this.#catalog.ask(findKeys(keyed), { level, deadlineMs: this.#deadlineMs });
  }

  /** Requests that were done before get the answer of then. */
  async #answerKnown(): Promise<void> {
    const { value, epoch } = await this.#findKept("linearizable");
    const known = new Map(value.map((one) => [`${one.subject}\n${one.key}`, one]));
    const nameOf = ({ request: { key } }: WaitingRows) => `${key?.subject}\n${key?.key}`;
    this.#answer((waiting) => known.has(nameOf(waiting)), (waiting) => {
      const kept = known.get(nameOf(waiting));
      const { key } = waiting.request;
      if (!kept || !key || kept.hash !== key.hash) throw otherRequest(key?.key ?? "");
      return { rows: kept.rows, snapshot: kept.snapshot, epoch };
    });
  }

  #answer(
    concerns: (waiting: WaitingRows) => boolean,
    answer: (waiting: WaitingRows) => Parameters<WaitingRows["done"]>[0],
  ): void {
    this.#left = this.#left.filter((waiting) => {
      if (!concerns(waiting)) return true;
      try {
        waiting.done(answer(waiting));
      } catch (error) {
        waiting.failed(error);
      }
      return false;
    });
  }

  #upload(file: LoadedFile): Promise<void> {
    return this.#parts.files.upload(this.#catalog.lake, file, this.#deadlineMs);
  }
}

/** What the table was believed to be, it is not any more. */
const OUT_OF_DATE: ReadonlySet<unknown> = new Set([
  "columns_changed",
  "table_missing",
  "inlined_missing",
]);

function refusalOf(error: unknown): unknown {
  return isFailure(error) ? error.details?.["refusal"] : undefined;
}
