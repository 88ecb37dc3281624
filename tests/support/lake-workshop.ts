/**
 * What stores rows in a lake, with its parts in memory: a catalog in a database of its own, a store,
 * and loaders that run in this process. A test says what happens between two steps.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { seededRandom } from "../../src/base/random.ts";
import { KeysByDatabase } from "../../src/database/answered-keys.ts";
import type { Child, ChildHandlers, Children } from "../../src/database/child.ts";
import type { WriteRequest } from "../../src/database/statement.ts";
import type { TableName } from "../../src/lake/catalog/read-tables.ts";
import { createKeysTable } from "../../src/lake/kept-keys.ts";
import type { JobTerms } from "../../src/lake/intake.ts";
import { KnownTables } from "../../src/lake/known-tables.ts";
import { LakeCatalog } from "../../src/lake/lake-catalog.ts";
import type { CatalogRead, LakeDatabases } from "../../src/lake/lake-databases.ts";
import { LakeFiles } from "../../src/lake/lake-files.ts";
import { main as loaderMain } from "../../src/lake/load/loader-child.ts";
import { Loaders } from "../../src/lake/load/loaders.ts";
import { RowsJob } from "../../src/lake/rows-job.ts";
import type { RowsRequest } from "../../src/lake/rows-request.ts";
import { WaitingRows } from "../../src/lake/waiting-rows.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { LakeCatalog as StoredCatalog } from "./lake-catalog.ts";

export const LAKE = "web";

export class LakeWorkshop implements LakeDatabases {
  stored = new StoredCatalog();
  readonly clock: Clock;
  readonly folder = mkdtempSync(join(tmpdir(), "headgate-workshop-"));
  readonly store: MemoryStore;
  readonly files: LakeFiles;
  readonly loaders: Loaders;
  readonly tables = new KnownTables();
  readonly catalog: LakeCatalog;
  /** Levels of the questions that the catalog was asked. */
  readonly asked: CatalogRead["level"][] = [];
  changes = 0;
  /** Called before a change is made; what it throws is the change's failure. */
  beforeChange: () => void | Promise<void> = () => {};
  /** What the node has, where that is older than what is stored. */
  local: StoredCatalog | null = null;
  #epoch = 1;
  #uuids = 0;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
    const random = seededRandom(1);
    const { folder } = this;
    this.store = new MemoryStore(clock);
    this.files = new LakeFiles({
      ...{ store: this.store, clock, random, log: silentLog },
      folder: join(folder, "files"),
    });
    this.loaders = new Loaders(new LocalLoaders(), clock);
    this.catalog = new LakeCatalog(
      { databases: this, clock, keys: new KeysByDatabase(random), clockOffsetMs: () => 0 },
      LAKE,
    );
    this.stored.execute([{ sql: createKeysTable() }]);
  }

  uuid = (): string => `00000000-0000-4000-8000-${`${++this.#uuids}`.padStart(12, "0")}`;

  /** As if the lake was dropped and made again. */
  makeAnew(): void {
    this.stored = new StoredCatalog();
    this.stored.execute([{ sql: createKeysTable() }]);
  }

  async execute(_: string, { statements }: WriteRequest): Promise<{ text: string; epoch: number }> {
    await this.beforeChange();
    const results = this.stored.execute(statements);
    this.changes++;
    return { text: JSON.stringify({ results }), epoch: ++this.#epoch };
  }

  query(_: string, { sql, params, level }: CatalogRead): Promise<{ text: string; epoch: number }> {
    this.asked.push(level);
    const from = level === "local" ? this.local ?? this.stored : this.stored;
    const rows = from.ask({ sql, params, decode: (found) => found });
    const plain = (_: string, value: unknown) => typeof value === "bigint" ? Number(value) : value;
    return Promise.resolve({ text: JSON.stringify({ rows }, plain), epoch: this.#epoch });
  }

  request(body: string, more: Partial<RowsRequest> = {}): RowsRequest {
    return {
      lake: LAKE,
      table: EVENTS,
      create: false,
      format: "ndjson",
      encoding: null,
      body: new TextEncoder().encode(body),
      deadlineMs: this.clock.monotonicMs() + 30_000,
      ...more,
    };
  }

  /** One job for all the requests; their answers, or their failures. */
  async job(
    requests: readonly RowsRequest[],
    terms: JobTerms = FEW,
  ): Promise<PromiseSettledResult<unknown>[]> {
    const waiting = requests.map((request) => new WaitingRows(request));
    const answers = Promise.allSettled(waiting.map(({ answer }) => answer));
    await new RowsJob(this, this.catalog, EVENTS, waiting, terms).run();
    return await answers;
  }

  /** Values of the rows that stand in the catalog, of all versions of the table. */
  rows(column = "id"): unknown[] {
    const inlined = this.stored.rows("SELECT table_name FROM ducklake_inlined_data_tables");
    return inlined.flatMap(([name]) =>
      this.stored.rows(`SELECT ${column} FROM ${name} ORDER BY row_id`).map(([value]) =>
        typeof value === "bigint" ? Number(value) : value
      )
    );
  }

  close(): void {
    this.files.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Terms of a job with nothing else under way. */
export const FEW: JobTerms = { isBulk: false, onLoaded: () => {} };

export const EVENTS: TableName = { schema: "main", name: "events" };

/** Loaders whose code runs here, behind the same messages. */
export class LocalLoaders implements Children {
  /** What an order is held up by before it is carried out. */
  hold: Promise<void> = Promise.resolve();
  started = 0;

  start(_: string, handlers: ChildHandlers): Child {
    this.started++;
    const exit = Promise.withResolvers<void>();
    let isAlive = true;
    let hear: (message: unknown) => void = () => {};
    const copy = (message: unknown): unknown => JSON.parse(JSON.stringify(message));
    loaderMain({
      send: (message) => void (isAlive && handlers.onMessage(copy(message))),
      onMessage: (handler) => hear = handler,
    });
    return {
      pid: this.started,
      send: (message) => void this.hold.then(() => hear(copy(message))),
      residentBytes: () => 0,
      exited: exit.promise,
      kill: () => {
        if (!isAlive) return;
        isAlive = false;
        queueMicrotask(() => {
          exit.resolve();
          handlers.onExit();
        });
      },
    };
  }

  warm(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
