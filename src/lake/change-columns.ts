/**
 * One change of a table's columns, as clients ask for it: columns by their names, in any case. What
 * is asked is held against the table as it is; if that has changed by the time that the change is
 * made, it is refused there, and held against the table of then.
 */
import { Failure, isFailure } from "../base/failure.ts";
import { LAKE_COLUMNS_CHANGE_ATTEMPTS_MAX, LAKE_COLUMNS_MAX } from "../base/lake-limits.ts";
import { shown } from "../base/shown.ts";
import { addColumn, dropColumn, renameColumn } from "./catalog/alter-table.ts";
import { findTable, type LakeTable, type TableName } from "./catalog/read-tables.ts";
import type { Change } from "./catalog/snapshot.ts";
import type { Column, ColumnWish } from "./column.ts";
import { ofTable } from "./known-tables.ts";
import type { Changed, LakeCatalog } from "./lake-catalog.ts";
import { noTable } from "./lake-failure.ts";

export type ColumnChange =
  /** Behind the others. */
  | { readonly kind: "add"; readonly column: ColumnWish }
  | { readonly kind: "rename"; readonly column: string; readonly to: string }
  | { readonly kind: "drop"; readonly column: string };

/**
 * Rejects with `missing` for a table or a column that is not there, `conflict` for a name that is
 * taken and for the last column, `invalid` for a column that no table can get; and as changes of a
 * catalog do.
 */
export async function changeColumns(
  catalog: LakeCatalog,
  name: TableName,
  change: ColumnChange,
  deadlineMs: number,
): Promise<Changed> {
  for (let attempt = 1;; attempt++) {
    const freshness = { level: "linearizable", deadlineMs } as const;
    const { value: table } = await catalog.ask(findTable(name, null), freshness);
    if (table === null) throw noTable(catalog.lake, name);
    try {
      return await catalog.change(ofTable(table, changeOf(table, change)), { deadlineMs });
    } catch (error) {
      const isStale = isFailure(error) && STALE.has(error.details?.["refusal"]);
      if (!isStale || attempt === LAKE_COLUMNS_CHANGE_ATTEMPTS_MAX) throw error;
    }
  }
}

/** The table is another one than the change was made for. */
const STALE: ReadonlySet<unknown> = new Set(["columns_changed", "table_missing"]);

function changeOf(table: LakeTable, change: ColumnChange): Change {
  const of = { table: table.id, version: table.version };
  switch (change.kind) {
    case "add": {
      const { column } = change;
      checkFree(table, column.name);
      const count = countOf(table.columns) + countOf([column]);
      if (count <= LAKE_COLUMNS_MAX) return addColumn(of, column);
      throw new Failure(
        "invalid",
        `Cannot add the column ${shown(column.name)}: ${titleOf(table)} would have ${count} ` +
          `columns, nested ones too; allowed: ${LAKE_COLUMNS_MAX}`,
      );
    }
    case "rename": {
      const { id: column } = columnOf(table, change.column);
      checkFree(table, change.to, column);
      return renameColumn(of, { column, name: change.to });
    }
    case "drop": {
      const { id } = columnOf(table, change.column);
      if (table.columns.length > 1) return dropColumn(of, id);
      throw new Failure(
        "conflict",
        `Cannot drop the column ${shown(change.column)}: it is the last one of ${titleOf(table)}`,
      );
    }
  }
}

function columnOf(table: LakeTable, name: string): Column {
  const found = table.columns.find((column) => isCalled(column, name));
  if (found) return found;
  const names = shown(table.columns.map((column) => column.name).join(", "));
  const isNested = table.columns.some(({ name: outer, children }) =>
    children.length > 0 && name.toLowerCase().startsWith(`${outer.toLowerCase()}.`)
  );
  throw new Failure(
    "missing",
    `There is no column ${shown(name)} in ${titleOf(table)}, which has ${names}` +
      (isNested ? "; what is inside of a column stays as it is" : ""),
  );
}

/** Of all columns but the one that is to be called so. */
function checkFree(table: LakeTable, name: string, except?: number): void {
  if (!table.columns.some((column) => column.id !== except && isCalled(column, name))) return;
  throw new Failure("conflict", `There is a column ${shown(name)} in ${titleOf(table)} already`);
}

/** As SQL compares names. */
function isCalled({ name }: Column, wanted: string): boolean {
  return name.toLowerCase() === wanted.toLowerCase();
}

function countOf(columns: readonly Pick<ColumnWish, "children">[]): number {
  return columns.reduce((sum, { children }) => sum + 1 + countOf(children), 0);
}

function titleOf({ schema, name }: LakeTable): string {
  return `the table ${schema}.${name}`;
}
