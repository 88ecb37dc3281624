/**
 * What a query over a lake reads, as of one snapshot: local copies of data files, and files made of
 * the rows that stand in the catalog. The catalog is asked several questions while it moves on. What
 * a snapshot shows does not change with that, but where it is kept does, by a flush or a merge; so
 * the list of files is asked for before and after the inlined rows are read, and must be the same.
 */
import { rm } from "node:fs/promises";
import { Failure } from "../base/failure.ts";
import { LAKE_VIEW_ATTEMPTS_MAX } from "../base/lake-limits.ts";
import { listFiles, type StoredFile } from "./catalog/read-files.ts";
import { type InlinedTable, listInlinedTables, readInlined } from "./catalog/read-inlined.ts";
import { findSnapshot, type LakeSnapshot, type SnapshotMoment } from "./catalog/read-snapshots.ts";
import { type LakeTable, listColumns, listTables } from "./catalog/read-tables.ts";
import type { Freshness, LakeCatalog } from "./lake-catalog.ts";
import type { LakeFiles } from "./lake-files.ts";
import type { Loaders } from "./load/loaders.ts";
import type { QueryFile, QueryTable, TableName } from "./query/lake-query.ts";

export interface ViewParts {
  readonly files: LakeFiles;
  readonly loaders: Loaders;
}

export interface ViewOptions {
  readonly moment: SnapshotMoment;
  readonly freshness: Freshness;
  /** The tables whose rows are read; null for all. */
  readonly names: readonly TableName[] | null;
}

export class LakeView {
  readonly snapshot: LakeSnapshot;
  readonly epoch: number;
  readonly tables: readonly QueryTable[];
  readonly #release: () => void;

  constructor(
    { snapshot, epoch }: { readonly snapshot: LakeSnapshot; readonly epoch: number },
    tables: readonly QueryTable[],
    release: () => void,
  ) {
    this.snapshot = snapshot;
    this.epoch = epoch;
    this.tables = tables;
    this.#release = release;
  }

  /** The files may go. */
  done(): void {
    this.#release();
  }
}

/** Rejects with `missing` for a snapshot that is not there. */
export async function openView(
  parts: ViewParts,
  catalog: LakeCatalog,
  { moment, freshness, names }: ViewOptions,
): Promise<LakeView> {
  const { value: snapshot, epoch } = await catalog.ask(findSnapshot(moment), freshness);
  if (snapshot === null) {
    throw new Failure("missing", `The lake ${catalog.lake} has no ${momentName(moment)}`);
  }
  const opening = new Opening(parts, catalog, snapshot.id, {
    level: "session",
    minEpoch: epoch,
    deadlineMs: freshness.deadlineMs,
  });
  try {
    const tables = await opening.tables(names);
    // One that has expired meanwhile may have lost files that the lists before did not show.
    const version = { version: snapshot.id };
    if ((await catalog.ask(findSnapshot(version), freshness)).value === null) {
      throw new Failure(
        "missing",
        `The lake ${catalog.lake} has no ${momentName(version)} any more`,
      );
    }
    return new LakeView({ snapshot, epoch }, tables, () => opening.release());
  } catch (error) {
    opening.release();
    throw error;
  }
}

class Opening {
  readonly #parts: ViewParts;
  readonly #catalog: LakeCatalog;
  readonly #snapshot: number;
  readonly #freshness: Freshness;
  readonly #held: (() => void)[] = [];

  constructor(parts: ViewParts, catalog: LakeCatalog, snapshot: number, freshness: Freshness) {
    this.#parts = parts;
    this.#catalog = catalog;
    this.#snapshot = snapshot;
    this.#freshness = freshness;
  }

  release(): void {
    for (const done of this.#held.splice(0)) done();
  }

  async tables(names: readonly TableName[] | null): Promise<readonly QueryTable[]> {
    const { value: tables } = await this.#catalog.ask(listTables(this.#snapshot), this.#freshness);
    return await Promise.all(
      tables.map(async ({ id, schema, name, columns }) => {
        const isRead = names === null || names.some((one) => isNamed(one, { schema, name }));
        const files = isRead ? await this.#files(id) : [];
        return { schema, name, columns, files };
      }),
    );
  }

  async #files(table: number): Promise<readonly QueryFile[]> {
    for (let attempt = 0; attempt < LAKE_VIEW_ATTEMPTS_MAX; attempt++) {
      const before = await this.#list(table);
      const inlined = await this.#inlined(table);
      if (inlined !== null && isSame(before, await this.#list(table))) {
        const files = await Promise.all(before.map((file) => this.#open(file)));
        return [...files, ...inlined];
      }
    }
    throw new Failure("unavailable", "Cannot read the lake: its files are being rewritten", {
      retryAfterMs: 100,
    });
  }

  async #list(table: number): Promise<readonly StoredFile[]> {
    return (await this.#catalog.ask(listFiles(table, this.#snapshot), this.#freshness)).value;
  }

  /** Null where an inlined table has gone meanwhile. */
  async #inlined(table: number): Promise<readonly QueryFile[] | null> {
    const { value: all } = await this.#catalog.ask(listInlinedTables(table), this.#freshness);
    const seen = all.filter(({ columnsSnapshot }) => columnsSnapshot <= this.#snapshot);
    try {
      return (await Promise.all(seen.map((one) => this.#pack(one)))).flat();
    } catch (error) {
      if (error instanceof Failure && /no such table/.test(error.message)) return null;
      throw error;
    }
  }

  async #pack({ table, version, columnsSnapshot }: InlinedTable): Promise<readonly QueryFile[]> {
    const { files, loaders } = this.#parts;
    const { value: columns } = await this.#catalog.ask(
      listColumns(table, columnsSnapshot),
      this.#freshness,
    );
    const choice = { table, version, columns, snapshot: this.#snapshot };
    const source = await this.#catalog.askForFile(
      readInlined(choice),
      this.#freshness,
      () => files.temporary("inlined"),
    );
    try {
      const { files: packed } = await loaders.pack({
        source: source.path,
        table: { id: table, version, columns },
        output: { path: await files.temporary("packed"), name: "" },
      }, this.#freshness.deadlineMs);
      for (const { path } of packed) this.#held.push(() => void rm(path, { force: true }));
      return packed.map(({ path }) => ({ path }));
    } finally {
      source.done();
    }
  }

  async #open(file: StoredFile): Promise<QueryFile> {
    const { files } = this.#parts;
    const { lake } = this.#catalog;
    const data = await files.open(lake, file);
    this.#held.push(() => data.done());
    const upToSnapshot = file.partialMax !== null && file.partialMax > this.#snapshot
      ? { upToSnapshot: this.#snapshot }
      : {};
    if (file.deletes === null) return { path: data.path, ...upToSnapshot };
    const deletions = await files.open(lake, { path: file.deletes.path, bytes: null });
    this.#held.push(() => deletions.done());
    return { path: data.path, deletions: deletions.path, ...upToSnapshot };
  }
}

function isSame(before: readonly StoredFile[], after: readonly StoredFile[]): boolean {
  return before.length === after.length && before.every(({ id }, index) => id === after[index]?.id);
}

/** As SQL compares names. */
function isNamed(named: TableName, table: LakeTableName): boolean {
  const isSchema = named.schema === null ||
    named.schema.toLowerCase() === table.schema.toLowerCase();
  return isSchema && named.name.toLowerCase() === table.name.toLowerCase();
}

type LakeTableName = Pick<LakeTable, "schema" | "name">;

function momentName(moment: SnapshotMoment): string {
  if (moment === "newest") return "snapshot";
  if ("version" in moment) return `snapshot ${moment.version}`;
  return `snapshot as of ${new Date(moment.atMs).toISOString()}`;
}
