/**
 * Some requests for one table that are answered when their rows are stored, before they are visible:
 * files, and then one staged object that says what the catalog has to know of them. What this node
 * knows of the table is enough for that, so nobody has to lead; a table that it does not know has to
 * be asked for, or made, by whoever leads. Whoever leads is also asked about rows that do not fit,
 * when those that fit are stored; if nobody does, what this node knows counts.
 */
import { rm } from "node:fs/promises";
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { STAGED_MISFITS_ASK_MS } from "../base/lake-limits.ts";
import type { Adopter } from "./adopter.ts";
import { readLakeId } from "./catalog/adopt.ts";
import type { LakeTable, TableName } from "./catalog/read-tables.ts";
import { fittingRows } from "./fitting-rows.ts";
import { findKeys, otherRequest } from "./kept-keys.ts";
import type { JobTerms } from "./intake.ts";
import { runJob } from "./job-loop.ts";
import type { LakeCatalog } from "./lake-catalog.ts";
import { dataName } from "./lake-files.ts";
import type { BodyPlace, Loaded } from "./load/message.ts";
import { makeTable, noTable } from "./make-table.ts";
import type { JobParts } from "./rows-job.ts";
import { type Staged, stagedId } from "./staged.ts";
import type { StagedFiles } from "./staged-files.ts";
import type { WaitingRows } from "./waiting-rows.ts";

export interface StagedJobParts extends JobParts {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly staged: Pick<StagedFiles, "create" | "read" | "horizon">;
  readonly adopter: Pick<Adopter, "add">;
}

/** A request whose rows did not fit the table as this node knew it, and why. */
interface Misfit {
  readonly waiting: WaitingRows;
  readonly failure: Failure;
  readonly table: LakeTable;
}

/** The lake as this node knows it. */
interface Seen {
  readonly lakeId: string;
  readonly epoch: number;
}

export class StagedJob {
  readonly #parts: StagedJobParts;
  readonly #catalog: LakeCatalog;
  readonly #table: TableName;
  readonly #deadlineMs: number;
  readonly #terms: Pick<JobTerms, "onLoaded">;
  #left: readonly WaitingRows[];
  #misfits: readonly Misfit[] = [];

  /** A request with a key comes alone, so that what it staged can be told from all else. */
  constructor(
    parts: StagedJobParts,
    catalog: LakeCatalog,
    table: TableName,
    requests: readonly WaitingRows[],
    terms: Pick<JobTerms, "onLoaded">,
  ) {
    const isAlone = requests.length === 1 || requests.every(({ request }) => !request.key);
    assert(isAlone, "a request with a key has a staged object of its own");
    this.#parts = parts;
    this.#catalog = catalog;
    this.#table = table;
    this.#left = requests;
    this.#terms = terms;
    this.#deadlineMs = Math.max(...requests.map(({ request }) => request.deadlineMs));
  }

  /** Answers every request. Never rejects. */
  run(): Promise<void> {
    return runJob({
      files: this.#parts.files,
      table: this.#table,
      left: () => [...this.#left, ...this.#misfits.map(({ waiting }) => waiting)],
      attempt: (bodies) => this.#left.length > 0 ? this.#store(bodies) : this.#lookAgain(),
    });
  }

  /** One attempt; what is still to be done stays in `#left`. */
  async #store(bodies: ReadonlyMap<WaitingRows, BodyPlace>): Promise<void> {
    if (await this.#isKnown()) return;
    const { value: lakeId, epoch } = await this.#catalog.ask(readLakeId(), this.#local());
    const table = await this.#find(bodies);
    if (table === null) return;
    const loaded = await this.#parts.loaders.load({
      table,
      bodies: this.#left.flatMap((waiting) => bodies.get(waiting) ?? []),
      // The rows of a catalog are the leader's to add.
      inlineBytesMax: 0,
      output: {
        path: await this.#parts.files.temporary("file"),
        name: dataName(this.#parts.uuid()),
      },
    }, this.#deadlineMs);
    this.#terms.onLoaded();
    try {
      const fitting = fittingRows(this.#left, loaded, (waiting, failure) => {
        this.#misfits = [...this.#misfits, { waiting, failure, table }];
      });
      this.#left = [...fitting.keys()];
      if (this.#left.length > 0) {
        await this.#stageFitting({ lakeId, epoch }, table, loaded, fitting);
      }
    } finally {
      await Promise.all(loaded.files.map(({ path }) => rm(path, { force: true })));
    }
  }

  /** Rows that did not fit may fit the table as it is now. */
  async #lookAgain(): Promise<void> {
    const isNow = await this.#newest();
    this.#left = this.#misfits.flatMap(({ waiting, table }) => isNow(table) ? [] : [waiting]);
    for (const { waiting, failure, table } of this.#misfits) {
      if (isNow(table)) waiting.failed(failure);
    }
    this.#misfits = [];
  }

  /** Whether a table is as it is at whoever leads; all are where nobody says so soon. */
  async #newest(): Promise<(table: LakeTable) => boolean> {
    const { tables, clock } = this.#parts;
    const deadlineMs = Math.min(this.#deadlineMs, clock.monotonicMs() + STAGED_MISFITS_ASK_MS);
    const freshness = { level: "linearizable", deadlineMs } as const;
    try {
      const now = await tables.refresh(this.#catalog, this.#table, freshness);
      return ({ uuid, version }) => now?.uuid === uuid && now.version === version;
    } catch (error) {
      if (isFailure(error, "unavailable", "uncertain", "elsewhere", "busy")) return () => true;
      throw error;
    }
  }

  /** Its key is in this node's catalog: it gets the answer of then. */
  async #isKnown(): Promise<boolean> {
    const [waiting] = this.#left;
    const key = waiting?.request.key;
    if (!waiting || !key) return false;
    const { value: [kept], epoch } = await this.#catalog.ask(findKeys([key]), this.#local());
    if (!kept) return false;
    if (kept.hash === key.hash) {
      waiting.done({ rows: kept.rows, snapshot: kept.snapshot, epoch });
    } else waiting.failed(otherRequest(key.key));
    this.#left = [];
    return true;
  }

  /** Null when it has to be looked for again. */
  async #find(bodies: ReadonlyMap<WaitingRows, BodyPlace>): Promise<LakeTable | null> {
    const { tables } = this.#parts;
    const here = await tables.here(this.#catalog, this.#table, this.#deadlineMs);
    if (here !== null) return here;
    const freshness = { level: "linearizable", deadlineMs: this.#deadlineMs } as const;
    const known = await tables.refresh(this.#catalog, this.#table, freshness);
    if (known !== null) return known;
    const [first] = this.#left.filter(({ request }) => request.create);
    for (const waiting of this.#left) {
      if (!waiting.request.create) waiting.failed(noTable(this.#catalog, this.#table));
    }
    this.#left = this.#left.filter(({ request }) => request.create);
    const body = first && bodies.get(first);
    if (!body) return null;
    try {
      const of = { name: this.#table, body, deadlineMs: this.#deadlineMs };
      return await makeTable(this.#parts, this.#catalog, of);
    } catch (error) {
      // Somebody else was faster: it is found now.
      if (isFailure(error) && error.details?.["refusal"] === "name_taken") return null;
      first.failed(error);
      this.#left = this.#left.filter((waiting) => waiting !== first);
      return null;
    }
  }

  /** Its failure is of those that fit, and of no other. */
  async #stageFitting(
    seen: Seen,
    table: LakeTable,
    loaded: Loaded,
    fitting: ReadonlyMap<WaitingRows, number>,
  ): Promise<void> {
    try {
      await this.#stage(seen, table, loaded, fitting);
    } catch (error) {
      for (const waiting of this.#left) waiting.failed(error);
      this.#left = [];
    }
  }

  async #stage(
    { lakeId, epoch }: Seen,
    table: LakeTable,
    { files }: Loaded,
    fitting: ReadonlyMap<WaitingRows, number>,
  ): Promise<void> {
    const { uuid, staged, files: store } = this.#parts;
    const { lake, storeMs } = this.#catalog;
    if (this.#forgetAnswered()) return;
    await Promise.all(files.map((file) => store.upload(lake, file, this.#deadlineMs)));
    // Somebody was told at the deadline that nothing of it is stored: once more, without it.
    if (this.#forgetAnswered()) return;
    const keys = this.#left.flatMap((waiting) => {
      const { key } = waiting.request;
      return key ? [{ ...key, rows: fitting.get(waiting) ?? 0 }] : [];
    });
    const object: Staged = {
      id: stagedId(epoch, keys[0], uuid()),
      lakeId,
      table: { id: table.id, uuid: table.uuid },
      files: files.map(({ name, rows, bytes, footerBytes, statistics }) => ({
        ...{ path: name, rows, bytes, footerBytes, statistics },
      })),
      keys,
      atMs: storeMs,
    };
    for (const waiting of this.#left) waiting.isSent = true;
    const outcome = await staged.create(lake, object, this.#deadlineMs).catch((error) => {
      // It may lie there: nobody may find it when its keys are forgotten.
      if (isFailure(error, "uncertain")) this.#parts.adopter.add(lake, object);
      throw error;
    });
    if (outcome === "lost") return await this.#answerOther(object.id, epoch);
    await this.#stored(object, epoch, (waiting) => fitting.get(waiting) ?? 0);
  }

  /** The key was staged before at this epoch: by another attempt, or with other rows. */
  async #answerOther(id: string, epoch: number): Promise<void> {
    const [waiting] = this.#left;
    const key = waiting?.request.key;
    assert(waiting !== undefined && key !== undefined, "names of objects without keys are random");
    const other = await this.#parts.staged.read(this.#catalog.lake, id).catch((error) => {
      throw new Failure("uncertain", "Rows with this key are stored, but not which", {
        cause: error,
      });
    });
    waiting.isSent = false;
    // Adopted and removed meanwhile; this node will hear of it.
    if (other === null) return;
    const [kept] = other.keys;
    if (kept?.hash === key.hash) return await this.#stored(other, epoch, () => kept.rows);
    waiting.failed(otherRequest(key.key));
    this.#left = [];
  }

  async #stored(
    staged: Staged,
    epoch: number,
    rows: (waiting: WaitingRows) => number,
  ): Promise<void> {
    const { lake } = this.#catalog;
    const horizon = await this.#parts.staged.horizon(lake, this.#deadlineMs).catch((error) => {
      this.#parts.adopter.add(lake, staged);
      throw new Failure("uncertain", "The rows are stored, and may not be adopted", {
        cause: error,
      });
    });
    if (horizon > epoch) {
      const message = `Cannot store rows: this node knows the lake ${lake} as of ${epoch}, ` +
        `and what was stored before ${horizon} is not adopted any more`;
      for (const waiting of this.#left) waiting.isSent = false;
      throw new Failure("unavailable", message, { retryAfterMs: 1_000 });
    }
    this.#parts.adopter.add(lake, staged);
    for (const waiting of this.#left) {
      waiting.done({ rows: rows(waiting), stored: staged.id, epoch });
    }
    this.#left = [];
  }

  /** True where there was somebody to forget. */
  #forgetAnswered(): boolean {
    const before = this.#left.length;
    this.#left = this.#left.filter(({ isAnswered }) => !isAnswered);
    return this.#left.length < before;
  }

  #local() {
    return { level: "local", deadlineMs: this.#deadlineMs } as const;
  }
}
