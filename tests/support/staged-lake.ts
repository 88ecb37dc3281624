/**
 * A lake with its nodes in one process, for what is stored before it is visible: a catalog in SQLite,
 * a bucket in memory, and nodes of which any may be lost. While nobody leads, the catalog answers
 * what a node knows by itself and no more.
 */
import { Database } from "bun:sqlite";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { Failure } from "../../src/base/failure.ts";
import { createLog } from "../../src/base/log.ts";
import { systemRandom } from "../../src/base/random.ts";
import { KeysByDatabase } from "../../src/database/answered-keys.ts";
import type { WriteRequest } from "../../src/database/statement.ts";
import { Adopter } from "../../src/lake/adopter.ts";
import { createAdoption } from "../../src/lake/catalog/adopt.ts";
import { Ingestion } from "../../src/lake/ingestion.ts";
import { inferColumns } from "../../src/lake/ingest/infer.ts";
import { createKeysTable } from "../../src/lake/kept-keys.ts";
import { KnownTables } from "../../src/lake/known-tables.ts";
import { LakeCatalog } from "../../src/lake/lake-catalog.ts";
import type { CatalogAnswer, CatalogRead, LakeDatabases } from "../../src/lake/lake-databases.ts";
import { LakeFiles } from "../../src/lake/lake-files.ts";
import { BodyBytes } from "../../src/lake/load/body-bytes.ts";
import { loadBodies } from "../../src/lake/load/load-bodies.ts";
import type { Loaders } from "../../src/lake/load/loaders.ts";
import type { RowsAck, RowsAnswer, StoredRows } from "../../src/lake/rows-request.ts";
import { StagedFiles } from "../../src/lake/staged-files.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { LakeCatalog as OneCatalog } from "./lake-catalog.ts";

export const LAKE = "web";
/** Waits are over at once, but everything else that is ready comes first. */
const clock: Clock = { ...systemClock, sleep: () => systemClock.turn() };

/** The databases of all nodes: each knows what the owner has made durable. */
class OneDatabase implements LakeDatabases {
  /** Null for a lake that was dropped. */
  catalog: OneCatalog | null = null;
  isLed = true;
  /** What nodes know until they ask who leads, where that is older than what is there. */
  behind: OneCatalog | null = null;
  /** How often a change that is made is not answered. */
  lost = 0;
  /** Requests that changed something. */
  changes = 0;
  #epoch = 1;

  // deno-lint-ignore require-await -- the port is asynchronous
  async execute(name: string, { statements }: WriteRequest) {
    if (!this.isLed) throw nobodyLeads();
    const results = this.#of(name).execute(statements);
    this.#epoch++;
    this.changes++;
    if (this.lost > 0) {
      this.lost--;
      throw new Failure("unavailable", "the node is gone before it heard the answer");
    }
    return { text: JSON.stringify({ results }, plain), epoch: this.#epoch };
  }

  // deno-lint-ignore require-await
  async query(name: string, { sql, params, level }: CatalogRead): Promise<CatalogAnswer> {
    if (!this.isLed && level !== "local") throw nobodyLeads();
    const query = {
      sql,
      params: params as Record<string, string>,
      decode: (rows: unknown) => rows,
    };
    if (level !== "local") this.behind = null;
    const rows = (this.behind ?? this.#of(name)).ask(query);
    return { text: JSON.stringify({ rows }, plain), epoch: this.#epoch };
  }

  #of(name: string): OneCatalog {
    if (this.catalog) return this.catalog;
    throw new Failure("missing", `There is no database ${JSON.stringify(name)}`);
  }
}

export interface Node {
  readonly ingestion: Ingestion;
  readonly adopter: Adopter;
}

export class StagedLake {
  readonly databases = new OneDatabase();
  readonly store = new MemoryStore(clock);
  readonly staged: StagedFiles;
  readonly logged: string[] = [];
  readonly #files: LakeFiles;
  readonly #nodes: Node[] = [];
  readonly #log = createLog({
    ...{ level: "info", format: "text", nowMs: Date.now },
    write: (line) => this.logged.push(line),
  });

  private constructor(folder: string) {
    const parts = { store: this.store, clock, random: systemRandom, log: this.#log };
    this.staged = new StagedFiles(parts);
    this.#files = new LakeFiles({ ...parts, folder });
    this.make();
  }

  static async open(): Promise<StagedLake> {
    return new StagedLake(await mkdtemp(join(tmpdir(), "headgate-staged-")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { adopter } of this.#nodes) adopter.close();
    await systemClock.turn();
    this.#files.close();
    this.databases.catalog?.database.close();
  }

  /** The lake, once more where it was dropped. */
  make(): void {
    this.databases.catalog = new OneCatalog();
    this.catalog.execute([{ sql: createKeysTable() }, ...createAdoption(crypto.randomUUID())]);
  }

  drop(): void {
    this.databases.catalog?.database.close();
    this.databases.catalog = null;
  }

  get catalog(): OneCatalog {
    if (this.databases.catalog) return this.databases.catalog;
    throw new Error("the lake was dropped");
  }

  /** The catalog as it is, which nothing changes any more. */
  copy(): OneCatalog {
    const copy = new OneCatalog();
    copy.database.close();
    return Object.assign(copy, {
      database: Database.deserialize(this.catalog.database.serialize(), { safeIntegers: true }),
    });
  }

  /** `adopts: false`: its adoptions never come to anything, as of one that dies when it has answered. */
  node({ leads = false, adopts = true } = {}): Node {
    const random = systemRandom;
    const keys = new KeysByDatabase(random);
    const catalogs = { databases: this.databases, clock, keys, clockOffsetMs: () => 0 };
    const catalog = (lake: string) => new LakeCatalog(catalogs, lake);
    const adopter = new Adopter({
      ...{ clock, random, log: this.#log, staged: this.staged, catalog },
      leads: () => leads,
      lakes: () => this.databases.catalog === null ? [] : [LAKE],
    });
    const loaders = {
      load: loadBodies,
      infer: async (body: Parameters<Loaders["infer"]>[0]) =>
        (await inferColumns(new BodyBytes().content(body), body.format)).columns,
    } as unknown as Loaders;
    const ingestion = new Ingestion({
      ...{ clock, loaders, files: this.#files, staged: this.staged, adopter, catalog },
      tables: new KnownTables(),
      uuid: () => crypto.randomUUID(),
    });
    if (!adopts) adopter.close();
    const node = { ingestion, adopter };
    this.#nodes.push(node);
    return node;
  }

  /** Rows with these values of a column `id`, into the table `events`. */
  send(
    node: Node,
    ids: readonly number[],
    options: Sending = {},
  ): Promise<RowsAnswer | StoredRows> {
    const { ack = "stored", key, create = false, timeoutMs = 10_000 } = options;
    const body = Buffer.from(ids.map((id) => `{"id":${id}}\n`).join(""));
    const hash = new Bun.CryptoHasher("sha256").update(body).digest("hex");
    return node.ingestion.store({
      ...{ lake: LAKE, table: { schema: "main", name: "events" }, create, ack, body },
      ...{ format: "ndjson", encoding: null, deadlineMs: clock.monotonicMs() + timeoutMs },
      ...(key !== undefined && { key: { subject: "ann", key, hash } }),
    });
  }

  /** How many rows the catalog has of the table, and how many staged objects there are. */
  async counts(): Promise<{ readonly rows: number; readonly staged: number }> {
    const [[files]] = this.catalog.rows(
      "SELECT coalesce(sum(record_count), 0) FROM ducklake_data_file WHERE end_snapshot IS NULL",
    ) as [[bigint]];
    const inlined = this.catalog.rows("SELECT table_name FROM ducklake_inlined_data_tables");
    const rows = inlined.map(([name]) =>
      Number(this.catalog.rows(`SELECT count(*) FROM "${name}"`)[0]?.[0])
    );
    return {
      rows: rows.reduce((sum, count) => sum + count, Number(files)),
      staged: (await this.names()).length,
    };
  }

  async names(): Promise<readonly string[]> {
    return (await Array.fromAsync(this.staged.list(LAKE))).flat();
  }

  /** Until everybody has adopted what they stored, or cannot. */
  async settled({ adopter }: Node): Promise<void> {
    for (let turn = 0; adopter.waiting > 0; turn++) {
      if (turn === 20_000) throw new Error(`${adopter.waiting} objects are not adopted`);
      await systemClock.turn();
    }
  }
}

export interface Sending {
  readonly ack?: RowsAck;
  readonly key?: string;
  readonly create?: boolean;
  readonly timeoutMs?: number;
}

function nobodyLeads(): Failure {
  return new Failure("unavailable", "Nobody leads the cluster; nothing was done");
}

function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}
