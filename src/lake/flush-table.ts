/**
 * Moves rows of one table from the catalog into files. It may be cut off at any step: files that no
 * change has named are nobody's, and the change itself moves all rows or none.
 */
import { rm } from "node:fs/promises";
import { dropInlinedTable } from "./catalog/inlined.ts";
import {
  inlinedSize,
  type InlinedTable,
  listInlinedTables,
  readInlined,
} from "./catalog/read-inlined.ts";
import { type LakeTable, listColumns } from "./catalog/read-tables.ts";
import { ofTable } from "./known-tables.ts";
import type { Freshness, LakeCatalog } from "./lake-catalog.ts";
import { dataName, type LakeFiles } from "./lake-files.ts";
import type { Loaders } from "./load/loaders.ts";

export interface FlushParts {
  readonly files: LakeFiles;
  readonly loaders: Loaders;
  uuid(): string;
}

export interface Flushed {
  readonly rows: number;
  readonly files: number;
  /** Of the catalog's database; 0 where there was nothing to do. */
  readonly epoch: number;
}

const NOTHING: Flushed = { rows: 0, files: 0, epoch: 0 };

/** Rows in the catalog, of all versions of the table's columns. */
export async function inlinedRows(
  catalog: LakeCatalog,
  table: number,
  freshness: Freshness,
): Promise<number> {
  const { value: versions } = await catalog.ask(listInlinedTables(table), freshness);
  const sizes = await Promise.all(
    versions.map(async (version) =>
      (await catalog.ask(inlinedSize(version, null), freshness)).value
    ),
  );
  return sizes.reduce((sum, { rows }) => sum + rows, 0);
}

/** Rejects as changes of a catalog do; what was flushed before stays so. */
export async function flushTable(
  parts: FlushParts,
  catalog: LakeCatalog,
  table: LakeTable,
  freshness: Freshness,
): Promise<Flushed> {
  const { value: versions } = await catalog.ask(listInlinedTables(table.id), freshness);
  let all = NOTHING;
  for (const version of versions) {
    const flushed = await flushVersion(parts, catalog, { ...version, known: table }, freshness);
    // Nothing is added to an old version any more.
    if (version.version !== table.version) {
      await catalog.execute(dropInlinedTable(version), freshness.deadlineMs);
    }
    all = {
      rows: all.rows + flushed.rows,
      files: all.files + flushed.files,
      epoch: Math.max(all.epoch, flushed.epoch),
    };
  }
  return all;
}

async function flushVersion(
  { files, loaders, uuid }: FlushParts,
  catalog: LakeCatalog,
  of: InlinedTable & { readonly known: LakeTable },
  freshness: Freshness,
): Promise<Flushed> {
  const { deadlineMs } = freshness;
  const { value: size } = await catalog.ask(inlinedSize(of, null), freshness);
  if (size.rows === 0 || size.newestSnapshot === null) return NOTHING;
  const { table, version, columnsSnapshot } = of;
  const { value: columns } = await catalog.ask(listColumns(table, columnsSnapshot), freshness);
  const choice = { table, version, columns, snapshot: size.newestSnapshot };
  const source = await catalog.askForFile(
    readInlined(choice),
    freshness,
    () => files.temporary("flush"),
  );
  const output = { path: await files.temporary("flushed"), name: dataName(uuid()) };
  const packed = await loaders.pack({
    source: source.path,
    table: { id: table, version, columns },
    upToSnapshot: size.newestSnapshot,
    output,
  }, deadlineMs).finally(() => source.done());
  try {
    if (packed.change === null || packed.files.length === 0) return NOTHING;
    await Promise.all(packed.files.map((file) => files.upload(catalog.lake, file, deadlineMs)));
    const { epoch } = await catalog.change(ofTable(of.known, packed.change), { deadlineMs });
    return { rows: packed.rows, files: packed.files.length, epoch };
  } finally {
    await Promise.all(packed.files.map(({ path }) => rm(path, { force: true })));
  }
}
