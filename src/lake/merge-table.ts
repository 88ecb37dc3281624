/**
 * Makes one data file of several small ones. It may be cut off at any step: a file that no change has
 * named is nobody's, and the change replaces all files of a group or none.
 */
import { rm } from "node:fs/promises";
import { isFailure } from "../base/failure.ts";
import { MERGE_SIZES_MAX } from "../base/lake-limits.ts";
import { listFiles } from "./catalog/read-files.ts";
import { type LakeTable, listColumns } from "./catalog/read-tables.ts";
import type { FlushParts } from "./flush-table.ts";
import { ofTable } from "./known-tables.ts";
import type { Freshness, LakeCatalog } from "./lake-catalog.ts";
import { dataName } from "./lake-files.ts";
import { chooseMerges, type MergeRules, type MergeSource } from "./merge-choice.ts";

export interface MergeResult {
  /** Files that are there no more. */
  readonly merged: number;
  /** Files that hold their rows now. */
  readonly into: number;
  /** Of the catalog's database; 0 where there was nothing to do. */
  readonly epoch: number;
  /** The files changed meanwhile: what is left is to be looked at again. */
  readonly isRefused: boolean;
}

/** How large files are as vectors, as far as they were read: so that none is read in vain twice. */
export class FileSizes {
  readonly #lakes = new Map<string, Map<number, number>>();

  of({ lake }: LakeCatalog, table: LakeTable): Map<number, number> {
    const key = `${lake}\n${table.uuid}`;
    let sizes = this.#lakes.get(key);
    if (sizes === undefined || sizes.size > MERGE_SIZES_MAX) {
      sizes = new Map();
      this.#lakes.set(key, sizes);
    }
    return sizes;
  }

  clear(): void {
    this.#lakes.clear();
  }
}

export interface MergeOptions {
  readonly rules: MergeRules;
  readonly sizes: FileSizes;
  readonly freshness: Freshness;
}

/** Rejects as changes of a catalog do; what was merged before stays so. */
export async function mergeTable(
  parts: FlushParts,
  catalog: LakeCatalog,
  table: LakeTable,
  { rules, sizes, freshness }: MergeOptions,
): Promise<MergeResult> {
  const { value: files } = await catalog.ask(listFiles(table.id, null), freshness);
  const known = sizes.of(catalog, table);
  const there = new Set(files.map(({ id }) => id));
  for (const id of known.keys()) if (!there.has(id)) known.delete(id);
  let all = { merged: 0, into: 0, epoch: 0 };
  for (const group of chooseMerges(files, known, rules)) {
    try {
      const { merged, into, epoch } = await mergeGroup(parts, catalog, table, {
        group,
        known,
        freshness,
      });
      all = {
        merged: all.merged + merged,
        into: all.into + into,
        epoch: Math.max(all.epoch, epoch),
      };
    } catch (error) {
      if (isFailure(error) && CHANGED.has(error.details?.["refusal"])) {
        return { ...all, isRefused: true };
      }
      throw error;
    }
  }
  return { ...all, isRefused: false };
}

/** Somebody else merged, deleted or dropped. */
const CHANGED: ReadonlySet<unknown> = new Set([
  "table_missing",
  "file_missing",
  "rows_deleted",
  "rows_changed",
]);

async function mergeGroup(
  { files, loaders, uuid }: FlushParts,
  catalog: LakeCatalog,
  table: LakeTable,
  { group, known, freshness }: {
    readonly group: readonly MergeSource[];
    readonly known: Map<number, number>;
    readonly freshness: Freshness;
  },
): Promise<Omit<MergeResult, "isRefused">> {
  const { deadlineMs } = freshness;
  const [{ version, beginSnapshot } = { version: 0, beginSnapshot: 0 }] = group;
  const { value: columns } = await catalog.ask(listColumns(table.id, beginSnapshot), freshness);
  const copies = await openAll(files, catalog.lake, group);
  const merged = await loaders.merge({
    table: { id: table.id, version, columns },
    files: group.map((file, index) => ({
      id: file.id,
      path: copies.paths[index] ?? "",
      rows: file.rows,
      firstRowId: file.firstRowId,
      beginSnapshot: file.beginSnapshot,
      isPartial: file.partialMax !== null,
    })),
    output: { path: await files.temporary("merged"), name: dataName(uuid()) },
  }, deadlineMs).finally(() => copies.done());
  for (const [id, bytes] of merged.sizes) known.set(id, bytes);
  try {
    if (merged.change === null) return { merged: 0, into: 0, epoch: 0 };
    await Promise.all(merged.files.map((file) => files.upload(catalog.lake, file, deadlineMs)));
    const { epoch } = await catalog.change(ofTable(table, merged.change), { deadlineMs });
    return { merged: merged.replaced.length, into: merged.files.length, epoch };
  } finally {
    await Promise.all(merged.files.map(({ path }) => rm(path, { force: true })));
  }
}

/** Copies of all files, or of none. */
async function openAll(
  files: FlushParts["files"],
  lake: string,
  group: readonly MergeSource[],
): Promise<{ readonly paths: readonly string[]; done(): void }> {
  const opened = await Promise.allSettled(group.map((file) => files.open(lake, file)));
  const copies = opened.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  const done = () => copies.forEach((copy) => copy.done());
  const failed = opened.find((one) => one.status === "rejected");
  if (failed === undefined) return { paths: copies.map(({ path }) => path), done };
  done();
  throw failed.reason;
}
