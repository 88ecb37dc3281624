/** Lakes as the HTTP routes know them: what can be asked of them at this node, and done to them. */
import { Failure, isFailure } from "../base/failure.ts";
import { FLUSH_TIMEOUT_MS, LAKE_TIMEOUT_MS, MERGE_TIMEOUT_MS } from "../base/lake-limits.ts";
import { catalogDatabase, checkLakeName, lakeOfCatalog } from "../epoch/name.ts";
import { Adopter } from "./adopter.ts";
import { createAdoption } from "./catalog/adopt.ts";
import { changeColumns, type ColumnChange } from "./change-columns.ts";
import type { BodyPlace } from "./body-room.ts";
import {
  expireByHand,
  type Expired,
  type ExpiryWish,
  flushByHand,
  mergeByHand,
  type MergedLake,
} from "./by-hand.ts";
import { CatalogCopies } from "./catalog-copies.ts";
import { createLake } from "./catalog/create-lake.ts";
import { createTable, dropTable } from "./catalog/create-table.ts";
import type { CatalogQuery } from "./catalog/query.ts";
import type { Change } from "./catalog/snapshot.ts";
import { type LakeSnapshot, listSnapshots, type SnapshotMoment } from "./catalog/read-snapshots.ts";
import { findTable, type LakeTable, listTables, type TableName } from "./catalog/read-tables.ts";
import { tableStatistics } from "./catalog/read-files.ts";
import type { ColumnWish } from "./column.ts";
import { endingWith } from "./ending-with.ts";
import type { Flushed } from "./flush-table.ts";
import { Flusher } from "./flusher.ts";
import { Ingestion } from "./ingestion.ts";
import { createKeysTable } from "./kept-keys.ts";
import { KnownTables } from "./known-tables.ts";
import { type Asked, type Changed, type Freshness, LakeCatalog } from "./lake-catalog.ts";
import { noTable, ofLake } from "./lake-failure.ts";
import type { LakesOptions } from "./lakes-options.ts";
import { openView } from "./lake-view.ts";
import { Upkeep } from "./upkeep.ts";
import type { LakeAnswer, LakeQuery } from "./query/lake-query.ts";
import type { RowsAnswer, RowsRequest, StoredRows } from "./rows-request.ts";

export interface LakeQueryRequest extends Pick<LakeQuery, "sql" | "params" | "format" | "signal"> {
  readonly moment: SnapshotMoment;
  readonly freshness: Freshness;
}

export interface LakeQueryAnswer extends LakeAnswer {
  readonly epoch: number;
  readonly snapshot: number;
}

export interface LakeInfo {
  readonly name: string;
  readonly data_path: string;
}

export class Lakes {
  readonly adopter: Adopter;
  readonly #options: LakesOptions;
  readonly #ingestion: Ingestion;
  readonly #flusher: Flusher;
  readonly #upkeep: Upkeep;

  constructor(options: LakesOptions) {
    this.#options = options;
    const { databases } = options;
    const tables = new KnownTables();
    const catalog = (lake: string) => this.#catalog(lake);
    const lakes = () => databases.catalogs().map(lakeOfCatalog);
    this.adopter = new Adopter({ ...options, catalog, lakes });
    this.#ingestion = new Ingestion({ ...options, tables, catalog, adopter: this.adopter });
    const copies = new CatalogCopies({
      ...options,
      export: (name, at) => databases.export(name, at),
    });
    const leading = {
      ...options,
      catalog,
      copies,
      lakes,
      tip: (lake: string) => databases.tip(catalogDatabase(lake)),
      epochAt: (lake: string, timeMs: number) => databases.epochAt(catalogDatabase(lake), timeMs),
      onFlushed: (lake: string) => copies.changed(lake),
    };
    this.#flusher = new Flusher(leading);
    this.#upkeep = new Upkeep(leading);
  }

  /** Does by itself what the leader does. */
  start(): void {
    this.#flusher.start();
    this.#upkeep.start();
  }

  list(): readonly LakeInfo[] {
    return this.#options.databases.catalogs().map((name) => this.#info(lakeOfCatalog(name)));
  }

  /** The leader's alone. A lake whose making was cut off is completed. */
  async create(lake: string): Promise<LakeInfo & { readonly epoch: number }> {
    const { databases, files, uuid } = this.#options;
    const catalog = this.#catalog(lake);
    try {
      await databases.createCatalog(catalog.database);
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error;
      if (await this.#isWhole(catalog)) throw isThere(lake, error);
    }
    const statements = createLake({
      dataPath: files.dataPath(lake),
      schemaUuid: uuid(),
      nowMs: catalog.storeMs,
    });
    const all = [...statements, { sql: createKeysTable() }, ...createAdoption(uuid())];
    try {
      const { epoch } = await catalog.execute(all, this.#deadlineMs());
      return { ...this.#info(lake), epoch };
    } catch (error) {
      // Somebody else has made its tables meanwhile.
      const isLate = isFailure(error, "invalid") && (await this.#isWhole(catalog));
      throw isLate ? isThere(lake, error) : error;
    }
  }

  /** The leader's alone. Its files stay in the bucket. */
  drop(lake: string): Promise<{ readonly epoch: number }> {
    return ofLake(lake, () => {
      return this.#options.databases.dropCatalog(this.#catalog(lake).database);
    });
  }

  async tables(lake: string, freshness: Freshness): Promise<Asked<readonly LakeTable[]>> {
    return await this.#ask(lake, listTables(null), freshness);
  }

  async table(lake: string, name: TableName, freshness: Freshness) {
    const { value: table, epoch } = await this.#ask(lake, findTable(name, null), freshness);
    if (table === null) throw noTable(lake, name);
    const { value } = await this.#ask(lake, tableStatistics(table.id, table.columns), freshness);
    return { table, epoch, rows: value?.rows ?? 0, bytes: value?.fileBytes ?? 0 };
  }

  async createTable(
    lake: string,
    { schema, name }: TableName,
    columns: readonly ColumnWish[],
  ): Promise<Changed> {
    const change = createTable({ schema, name, uuid: this.#options.uuid(), columns });
    return await this.#change(lake, change, this.#deadlineMs());
  }

  changeColumns(lake: string, name: TableName, change: ColumnChange): Promise<Changed> {
    const deadlineMs = this.#deadlineMs();
    return ofLake(lake, () => changeColumns(this.#catalog(lake), name, change, deadlineMs));
  }

  async dropTable(lake: string, name: TableName): Promise<Changed> {
    const deadlineMs = this.#deadlineMs();
    const found = await this.#ask(lake, findTable(name, null), {
      level: "linearizable",
      deadlineMs,
    });
    if (found.value === null) throw noTable(lake, name);
    return await this.#change(lake, dropTable(found.value.id), deadlineMs);
  }

  async snapshots(lake: string, freshness: Freshness): Promise<Asked<readonly LakeSnapshot[]>> {
    return await this.#ask(lake, listSnapshots(), freshness);
  }

  /** A place for the body of a request with rows, before it is read. Throws `busy`. */
  enter(): BodyPlace {
    return this.#ingestion.room.enter();
  }

  /** Stores rows: see `Ingestion.store`. */
  async store(request: RowsRequest): Promise<RowsAnswer | StoredRows> {
    checkLakeName(request.lake);
    return await ofLake(request.lake, () => this.#ingestion.store(request));
  }

  /** Rows of the table, or of all tables, go from the catalog into files. */
  flush(lake: string, name: TableName | null): Promise<Flushed> {
    return this.#byHand(
      lake,
      FLUSH_TIMEOUT_MS,
      (catalog, freshness) => flushByHand(this.#options, catalog, name, freshness),
    );
  }

  /** Small files of the table, or of all tables, become few. */
  merge(lake: string, name: TableName | null): Promise<MergedLake> {
    return this.#byHand(
      lake,
      MERGE_TIMEOUT_MS,
      (catalog, freshness) => mergeByHand(this.#options, catalog, name, freshness),
    );
  }

  /** Old snapshots go, all but the newest. */
  expire(lake: string, wish: ExpiryWish): Promise<Expired> {
    return this.#byHand(
      lake,
      LAKE_TIMEOUT_MS,
      (catalog, freshness) => expireByHand(this.#options, catalog, wish, freshness),
    );
  }

  /** The answer's body has to be read to its end, or returned from. */
  async query(lake: string, request: LakeQueryRequest): Promise<LakeQueryAnswer> {
    const { queries } = this.#options;
    const { sql, params, format, signal, moment, freshness } = request;
    const { deadlineMs } = freshness;
    const until = { deadlineMs, ...(signal && { signal }) };
    const names = await queries.inspect({ sql, ...until });
    const view = await this.#view(lake, { moment, freshness, names });
    try {
      const answer = await queries.query({
        sql,
        ...(params && { params }),
        format,
        tables: view.tables,
        ...until,
      });
      return {
        contentType: answer.contentType,
        body: endingWith(answer.body, () => view.done()),
        epoch: view.epoch,
        snapshot: view.snapshot.id,
      };
    } catch (error) {
      view.done();
      throw error;
    }
  }

  close(failure: Failure): void {
    this.#flusher.close();
    this.#upkeep.close();
    this.adopter.close();
    this.#ingestion.close(failure);
  }

  #view(lake: string, options: Parameters<typeof openView>[2]) {
    return ofLake(lake, () => openView(this.#options, this.#catalog(lake), options));
  }

  #byHand<T>(
    lake: string,
    timeoutMs: number,
    work: (catalog: LakeCatalog, freshness: Freshness) => Promise<T>,
  ): Promise<T> {
    const deadlineMs = this.#options.clock.monotonicMs() + timeoutMs;
    const freshness = { level: "linearizable", deadlineMs } as const;
    return ofLake(lake, () => work(this.#catalog(lake), freshness));
  }

  #ask<T>(lake: string, query: CatalogQuery<T>, freshness: Freshness): Promise<Asked<T>> {
    return ofLake(lake, () => this.#catalog(lake).ask(query, freshness));
  }

  #change(lake: string, change: Change, deadlineMs: number): Promise<Changed> {
    return ofLake(lake, () => this.#catalog(lake).change([change], { deadlineMs }));
  }

  /** Its first tables are there, and with them, since one transaction makes them, all. */
  async #isWhole(catalog: LakeCatalog): Promise<boolean> {
    const query: CatalogQuery<boolean> = {
      sql: "SELECT name FROM sqlite_schema WHERE name = 'ducklake_metadata'",
      params: {},
      decode: (rows) => rows.length > 0,
    };
    const deadlineMs = this.#deadlineMs();
    return (await catalog.ask(query, { level: "linearizable", deadlineMs })).value;
  }

  #catalog(lake: string): LakeCatalog {
    return new LakeCatalog(this.#options, lake);
  }

  #deadlineMs(): number {
    return this.#options.clock.monotonicMs() + LAKE_TIMEOUT_MS;
  }

  #info(lake: string): LakeInfo {
    return { name: lake, data_path: this.#options.files.dataPath(lake) };
  }
}

function isThere(lake: string, cause: unknown): Failure {
  return new Failure("conflict", `There is a lake ${lake} already`, { cause });
}
