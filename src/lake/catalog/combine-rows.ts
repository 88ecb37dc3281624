/** Rows of many small requests to one table as one, so that a commit of them costs one change. */
import { assert } from "../../base/assert.ts";
import type { ColumnStatistics, LakeValue } from "../rows.ts";
import type { InlinedRows } from "./inlined.ts";

/** All of one version of one table; the rows of each part stay together and in order. */
export function combineRows(parts: readonly InlinedRows[]): InlinedRows {
  const [first, ...rest] = parts;
  assert(first !== undefined, "there are rows to combine");
  const isOne = rest.every(({ table, version }) =>
    table === first.table && version === first.version
  );
  assert(isOne, "rows of different tables or versions are not combined");
  const lists = parts.map(({ encoded }) => encoded.slice(1, -1)).filter((list) => list !== "");
  return {
    ...first,
    rows: parts.reduce((sum, { rows }) => sum + rows, 0),
    encoded: `[${lists.join(",")}]`,
    statistics: combineStatistics(parts.map(({ statistics }) => statistics)),
    isOpen: parts.some(({ isOpen }) => isOpen === true),
  };
}

/** Of columns that are in every list; of another one nothing could be said of all rows. */
export function combineStatistics(
  lists: readonly (readonly ColumnStatistics[])[],
): readonly ColumnStatistics[] {
  const found = new Map<number, { combined: ColumnStatistics; lists: number }>();
  for (const fresh of lists.flat()) {
    const kept = found.get(fresh.columnId);
    found.set(fresh.columnId, {
      combined: kept === undefined ? fresh : both(kept.combined, fresh),
      lists: (kept?.lists ?? 0) + 1,
    });
  }
  return [...found.values()]
    .filter((entry) => entry.lists === lists.length)
    .map(({ combined }) => combined);
}

function both(a: ColumnStatistics, b: ColumnStatistics): ColumnStatistics {
  return {
    columnId: a.columnId,
    values: a.values + b.values,
    nulls: a.nulls + b.nulls,
    nans: a.nans || b.nans,
    min: outer(a.min, b.min, -1),
    max: outer(a.max, b.max, 1),
    bytes: a.bytes + b.bytes,
  };
}

/** A list without a smallest value has no value at all that is compared. */
function outer(a: LakeValue, b: LakeValue, side: 1 | -1): LakeValue {
  if (a === null || b === null) return a ?? b;
  return Math.sign(compareValues(b, a)) === side ? b : a;
}

/** Below, at or above 0. Both of one type without children; text has the order of its UTF-8 bytes. */
export function compareValues(
  a: Exclude<LakeValue, null>,
  b: Exclude<LakeValue, null>,
): number {
  if (typeof a === "string" && typeof b === "string") {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}
