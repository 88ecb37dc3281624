/**
 * Changes of a table's columns. A column that changes ends, and begins anew under the same id, with
 * this snapshot. Each change names the version of the columns that its author saw.
 */
import { Failure } from "../../base/failure.ts";
import type { Statement } from "../../database/statement.ts";
import type { ColumnWish } from "../column.ts";
import { columnRows } from "./column-rows.ts";
import { insertColumns, newVersion } from "./create-table.ts";
import { checkLakeName } from "./name.ts";
import { COLUMNS_HAVE_CHANGED, type Condition, refuse, TABLE_IS_MISSING } from "./refusal.ts";
import { type Change, THIS_SNAPSHOT } from "./snapshot.ts";

/** A table as its columns were in one version. */
export interface TableVersion {
  readonly table: number;
  readonly version: number;
}

const LIVE = "ducklake_column WHERE table_id = :table AND end_snapshot IS NULL";
const COLUMN_IS_MISSING: Condition = [
  "column_missing",
  `NOT EXISTS (SELECT 1 FROM ${LIVE} AND column_id = :column)`,
];
const COLUMN_IS_FIXED: Condition = [
  "column_fixed",
  `EXISTS (SELECT 1 FROM ${LIVE} AND column_type IN ('list', 'map') AND column_id = ` +
  `(SELECT parent_column FROM ${LIVE} AND column_id = :column))`,
];
const SIBLINGS = `${LIVE} AND column_id <> :column AND parent_column IS ` +
  `(SELECT parent_column FROM ${LIVE} AND column_id = :column)`;

/** Behind the others. Rows that are there have null in it, so it must be nullable, else `invalid`. */
export function addColumn({ table, version }: TableVersion, wish: ColumnWish): Change {
  if (!wish.nullable) {
    throw new Failure(
      "invalid",
      `Cannot add the column ${JSON.stringify(wish.name)}: rows without a value need it nullable`,
    );
  }
  const rows = columnRows([wish]);
  const taken: Condition = [
    "name_taken",
    `EXISTS (SELECT 1 FROM ${LIVE} AND parent_column IS NULL AND lower(column_name) = lower(:name))`,
  ];
  const firstId = "(SELECT max(column_id) + 1 FROM ducklake_column WHERE table_id = :table)";
  return altered(
    table,
    refuse([TABLE_IS_MISSING, COLUMNS_HAVE_CHANGED, taken], { table, version, name: wish.name }),
    [insertColumns(rows, ":table", firstId, { table })],
  );
}

/** Of a nested column as well. */
export function renameColumn(
  { table, version }: TableVersion,
  { column, name }: { readonly column: number; readonly name: string },
): Change {
  checkLakeName(name, "column");
  return altered(
    table,
    refuse([
      TABLE_IS_MISSING,
      COLUMNS_HAVE_CHANGED,
      COLUMN_IS_MISSING,
      COLUMN_IS_FIXED,
      ["name_taken", `EXISTS (SELECT 1 FROM ${SIBLINGS} AND lower(column_name) = lower(:name))`],
    ], { table, version, column, name }),
    [
      {
        sql: "INSERT INTO ducklake_column SELECT column_id, " +
          `${THIS_SNAPSHOT}, NULL, table_id, column_order, :name, column_type, initial_default, ` +
          "default_value, nulls_allowed, parent_column, default_value_type, " +
          `default_value_dialect FROM ${LIVE} AND column_id = :column`,
        params: { table, column, name },
      },
      endColumns("column_id = :column", { table, column }),
    ],
  );
}

/** With all that is nested in it. The last one of a table or a struct stays. */
export function dropColumn({ table, version }: TableVersion, column: number): Change {
  const inside = "column_id IN (WITH RECURSIVE inside(id) AS (SELECT :column UNION " +
    "SELECT column_id FROM ducklake_column JOIN inside ON parent_column = id " +
    "WHERE table_id = :table AND end_snapshot IS NULL) SELECT id FROM inside)";
  return altered(
    table,
    refuse([
      TABLE_IS_MISSING,
      COLUMNS_HAVE_CHANGED,
      COLUMN_IS_MISSING,
      COLUMN_IS_FIXED,
      ["column_last", `NOT EXISTS (SELECT 1 FROM ${SIBLINGS})`],
    ], { table, version, column }),
    [
      endColumns(inside, { table, column }),
      {
        sql: `UPDATE ducklake_column_tag SET end_snapshot = ${THIS_SNAPSHOT} ` +
          "WHERE table_id = :table AND column_id = :column AND end_snapshot IS NULL",
        params: { table, column },
      },
    ],
  );
}

function endColumns(which: string, params: Readonly<Record<string, number>>): Statement {
  return {
    sql: `UPDATE ducklake_column SET end_snapshot = ${THIS_SNAPSHOT} WHERE table_id = :table ` +
      `AND end_snapshot IS NULL AND begin_snapshot < ${THIS_SNAPSHOT} AND ${which}`,
    params,
  };
}

function altered(table: number, guard: Statement, statements: readonly Statement[]): Change {
  return {
    guard,
    statements: [...statements, newVersion(":table", { table })],
    made: `altered_table:${table}`,
    changesSchema: true,
  };
}
