/** Tables as a whole: made, dropped, renamed. */
import type { Statement } from "../../database/statement.ts";
import type { ColumnWish } from "../column.ts";
import { type ColumnRow, columnRows } from "./column-rows.ts";
import { checkLakeName, quoteName } from "./name.ts";
import { type Condition, refuse, TABLE_IS_MISSING } from "./refusal.ts";
import { liveSchema } from "./schemas.ts";
import { type Change, NEXT_CATALOG_ID, takeCatalogIds, THIS_SNAPSHOT } from "./snapshot.ts";

export interface NewTable {
  readonly schema: string;
  readonly name: string;
  /** Random. */
  readonly uuid: string;
  readonly columns: readonly ColumnWish[];
}

const SCHEMA_IS_MISSING: Condition = ["schema_missing", `NOT EXISTS (${liveSchema(":schema")})`];

/** Tables and views share their names; names are one in any case. */
const NAME_IS_TAKEN: Condition = [
  "name_taken",
  ["table", "view"].map((kind) =>
    `EXISTS (SELECT 1 FROM ducklake_${kind} WHERE schema_id = (${liveSchema(":schema")}) ` +
    `AND lower(${kind}_name) = lower(:name) AND end_snapshot IS NULL)`
  ).join(" OR "),
];

/** What the table is dropped from; a tag names it as an object. */
const OF_A_TABLE: readonly (readonly [string, string])[] = [
  ["ducklake_table", "table_id"],
  ["ducklake_partition_info", "table_id"],
  ["ducklake_column", "table_id"],
  ["ducklake_column_tag", "table_id"],
  ["ducklake_data_file", "table_id"],
  ["ducklake_delete_file", "table_id"],
  ["ducklake_tag", "object_id"],
  ["ducklake_sort_info", "table_id"],
];

/** One of its statements answers the table's id. Throws `invalid` for names and columns. */
export function createTable({ schema, name, uuid, columns }: NewTable): Change {
  checkLakeName(name, "table");
  const rows = columnRows(columns);
  return {
    guard: refuse([SCHEMA_IS_MISSING, NAME_IS_TAKEN], { schema, name }),
    statements: [
      {
        sql: `INSERT INTO ducklake_table VALUES (${NEXT_CATALOG_ID}, :uuid, ${THIS_SNAPSHOT}, ` +
          `NULL, (${liveSchema(":schema")}), :name, '', 1) RETURNING table_id`,
        params: { uuid, schema, name },
      },
      insertColumns(rows, NEXT_CATALOG_ID, "1", {}),
      newVersion(NEXT_CATALOG_ID, {}),
      takeCatalogIds(1),
    ],
    made: `created_table:${quoteName(schema)}.${quoteName(name)}`,
    changesSchema: true,
  };
}

export function dropTable(table: number): Change {
  return {
    guard: refuse([TABLE_IS_MISSING], { table }),
    statements: OF_A_TABLE.map(([of, id]) => ({
      sql: `UPDATE ${of} SET end_snapshot = ${THIS_SNAPSHOT} ` +
        `WHERE ${id} = :table AND end_snapshot IS NULL`,
      params: { table },
    })),
    made: `dropped_table:${table}`,
    changesSchema: true,
  };
}

export interface TableRename {
  readonly table: number;
  /** The schema that it is in and stays in. */
  readonly schema: string;
  readonly name: string;
}

/** The list of changes of the real DuckLake says of a renamed table that it was made. */
export function renameTable({ table, schema, name }: TableRename): Change {
  checkLakeName(name, "table");
  return {
    guard: refuse([
      [
        "table_missing",
        "NOT EXISTS (SELECT 1 FROM ducklake_table WHERE table_id = :table " +
        `AND end_snapshot IS NULL AND schema_id = (${liveSchema(":schema")}))`,
      ],
      NAME_IS_TAKEN,
    ], { table, schema, name }),
    statements: [
      {
        sql: "INSERT INTO ducklake_table SELECT table_id, table_uuid, " +
          `${THIS_SNAPSHOT}, NULL, schema_id, :name, path, path_is_relative ` +
          "FROM ducklake_table WHERE table_id = :table AND end_snapshot IS NULL",
        params: { table, name },
      },
      {
        sql: `UPDATE ducklake_table SET end_snapshot = ${THIS_SNAPSHOT} WHERE table_id = :table ` +
          `AND end_snapshot IS NULL AND begin_snapshot < ${THIS_SNAPSHOT}`,
        params: { table },
      },
      newVersion(":table", { table }),
    ],
    made: `created_table:${quoteName(schema)}.${quoteName(name)}`,
    changesSchema: true,
  };
}

/** `table` and `firstId` are SQL. */
export function insertColumns(
  rows: readonly ColumnRow[],
  table: string,
  firstId: string,
  params: Readonly<Record<string, number>>,
): Statement {
  return {
    sql: "INSERT INTO ducklake_column SELECT first + (value ->> 0), " +
      `${THIS_SNAPSHOT}, NULL, ${table}, first + (value ->> 0), value ->> 2, value ->> 3, NULL, ` +
      "'NULL', value ->> 4, first + (value ->> 1), value ->> 5, 'duckdb' " +
      `FROM json_each(:columns), (SELECT ${firstId} AS first) ORDER BY key`,
    params: { columns: JSON.stringify(rows), ...params },
  };
}

/** The table's columns or its name are other ones from this snapshot on; `table` is SQL. */
export function newVersion(table: string, params: Readonly<Record<string, number>>): Statement {
  return {
    sql: "INSERT INTO ducklake_schema_versions SELECT snapshot_id, schema_version, " +
      `${table} FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1`,
    params,
  };
}
