/**
 * Which files of a table become one. Small files of the same columns, in the order of their rows, as
 * many as one file may hold. A file that is larger than the rest of its group together is left out:
 * so each row is copied some twenty times at most, however few come at a time.
 */
import {
  MERGE_FILES_MAX,
  MERGE_FILES_MIN,
  MERGE_GROWTH,
  MERGE_SMALL_BYTES,
  MERGE_VECTOR_BYTES_MAX,
  PARQUET_ROWS_MAX,
} from "../base/lake-limits.ts";
import type { StoredFile } from "./catalog/read-files.ts";

/** Columns of its own in the file, and what else is not known to be the same, is not copied. */
export type MergeSource = StoredFile & { readonly firstRowId: number };

export interface MergeRules {
  /** Fewer files stay as they are. */
  readonly filesMin: number;
  /** False: a file may be copied for the sake of one that is much smaller. */
  readonly isThrifty: boolean;
}

export const BY_ITSELF: MergeRules = { filesMin: MERGE_FILES_MIN, isThrifty: true };
export const BY_HAND: MergeRules = { filesMin: 2, isThrifty: false };

/** Sizes as vectors of files that were read before, in bytes, by their ids. */
export type KnownSizes = ReadonlyMap<number, number>;

/** No file is in two groups. */
export function chooseMerges(
  files: readonly StoredFile[],
  sizes: KnownSizes,
  { filesMin, isThrifty }: MergeRules,
): readonly (readonly MergeSource[])[] {
  const sources = files.filter(isSource).filter((file) => isSmall(file, sizes));
  const versions = Map.groupBy(sources, ({ version }) => version);
  return [...versions.values()]
    .flatMap((same) => groupsOf(same.toSorted(byRows), sizes))
    .map((group) => isThrifty ? withoutGiants(group, sizes) : group)
    .filter((group) => group.length >= filesMin);
}

function isSource(file: StoredFile): file is MergeSource {
  return !file.isAbsolute && file.deletes === null && file.firstRowId !== null;
}

function isSmall(file: StoredFile, sizes: KnownSizes): boolean {
  return file.rows <= PARQUET_ROWS_MAX / 2 && sizeOf(file, sizes) < MERGE_SMALL_BYTES;
}

function sizeOf({ id, bytes }: StoredFile, sizes: KnownSizes): number {
  return sizes.get(id) ?? bytes * MERGE_GROWTH;
}

function byRows(a: MergeSource, b: MergeSource): number {
  return a.firstRowId - b.firstRowId || a.id - b.id;
}

function groupsOf(files: readonly MergeSource[], sizes: KnownSizes): readonly MergeSource[][] {
  const groups: MergeSource[][] = [];
  let group: MergeSource[] = [];
  let rows = 0;
  let bytes = 0;
  for (const file of files) {
    const size = sizeOf(file, sizes);
    const fits = group.length < MERGE_FILES_MAX && rows + file.rows <= PARQUET_ROWS_MAX &&
      bytes + size <= MERGE_VECTOR_BYTES_MAX;
    if (!fits) {
      groups.push(group);
      group = [];
      rows = 0;
      bytes = 0;
    }
    group.push(file);
    rows += file.rows;
    bytes += size;
  }
  return [...groups, group];
}

function withoutGiants(group: readonly MergeSource[], sizes: KnownSizes): readonly MergeSource[] {
  const total = group.reduce((sum, file) => sum + sizeOf(file, sizes), 0);
  const largest = group.toSorted((a, b) => sizeOf(b, sizes) - sizeOf(a, sizes))[0];
  if (largest === undefined || sizeOf(largest, sizes) * 2 <= total) return group;
  return withoutGiants(group.filter((file) => file !== largest), sizes);
}
