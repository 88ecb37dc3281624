/**
 * Rows in the catalog itself: a table for each version of a table's columns, with a row's id and the
 * snapshots between which it is there (DuckLake 1.0, "Data Inlining").
 */
import { Failure } from "../../base/failure.ts";
import type { Statement } from "../../database/statement.ts";
import type { Column } from "../column.ts";
import type { ColumnStatistics, LakeValue, RowBatch } from "../rows.ts";
import type { TableVersion } from "./alter-table.ts";
import { quoteName } from "./name.ts";
import { COLUMNS_HAVE_CHANGED, type Condition, refuse, TABLE_IS_MISSING } from "./refusal.ts";
import { type Change, takeFileIds, THIS_SNAPSHOT } from "./snapshot.ts";
import { addToTable, NEXT_ROW_ID, statisticsRows } from "./statistics.ts";
import { hexText, storageOf, valueText } from "./value-text.ts";

/** Columns of every inlined table; a table with such columns of its own cannot be inlined. */
const OWN_COLUMNS: ReadonlySet<string> = new Set(["row_id", "begin_snapshot", "end_snapshot"]);

export function inlinedTableName({ table, version }: TableVersion): string {
  return `ducklake_inlined_data_${table}_${version}`;
}

/** Whether rows of these columns can stand in the catalog; else they need a file. */
export function canInline(columns: readonly Column[]): boolean {
  return !columns.some((column) => OWN_COLUMNS.has(column.name.toLowerCase()) || listsJson(column));
}

/** DuckDB 1.5 takes the text of a list of JSON for JSON itself, and cannot read even what it wrote. */
function listsJson({ type, children }: Column): boolean {
  return children.some((child) =>
    (type.name === "list" && child.type.name === "json") || listsJson(child)
  );
}

export interface InlinedRows extends TableVersion {
  readonly columns: readonly Column[];
  readonly rows: number;
  /** What `encodeRows` gave. */
  readonly encoded: string;
  readonly statistics: readonly ColumnStatistics[];
  /**
   * The caller knows that the inlined table is there (`listInlinedTables`). Else it is made where it
   * is not: a statement that changes the schema costs the owner all statements that it has prepared,
   * some milliseconds, so this is for the first rows of a version.
   */
  readonly isOpen?: boolean;
}

const INLINED_IS_MISSING: Condition = [
  "inlined_missing",
  "NOT EXISTS (SELECT 1 FROM ducklake_inlined_data_tables WHERE table_name = :inlined)",
];

/** The rows get the next row ids in their order. Throws `invalid` where they cannot be inlined. */
export function insertRows(of: InlinedRows): Change {
  const { table, version, columns, rows, encoded, statistics, isOpen = false } = of;
  const values = columns.map(({ type }, index) =>
    storageOf(type) === "BLOB" ? `unhex(value ->> ${index})` : `value ->> ${index}`
  );
  const guards = [TABLE_IS_MISSING, COLUMNS_HAVE_CHANGED];
  const inlined = inlinedTableName(of);
  return {
    guard: isOpen
      ? refuse([...guards, INLINED_IS_MISSING], { table, version, inlined })
      : refuse(guards, { table, version }),
    statements: [
      ...(isOpen ? [] : openInlinedTable(of, columns)),
      {
        sql: `INSERT INTO ${inlined} ` +
          `SELECT ${NEXT_ROW_ID} + key, ${THIS_SNAPSHOT}, NULL, ${values.join(", ")} ` +
          "FROM json_each(:rows) ORDER BY key",
        params: { table, rows: encoded },
      },
      ...addToTable({
        table,
        rows,
        fileBytes: 0,
        statistics: [statisticsRows(statistics, columns)],
        mayLackColumns: false,
      }),
      // Readers keep a table's statistics by the next file id that they saw.
      takeFileIds(1),
    ],
    made: `inlined_insert:${table}`,
    changesSchema: false,
  };
}

/**
 * Makes the inlined table of a version where it is not there. The real DuckLake inlines into the
 * newest one that it finds, so before it writes into a catalog that we altered, this has to run.
 */
export function openInlinedTable(
  of: TableVersion,
  columns: readonly Column[],
): readonly Statement[] {
  if (!canInline(columns)) {
    throw new Failure(
      "invalid",
      `Cannot inline rows of table ${of.table}: it has a list of JSON, or a column called ` +
        [...OWN_COLUMNS].join(" or "),
    );
  }
  const definitions = columns.map(({ name, type }) => `${quoteName(name)} ${storageOf(type)}`);
  const name = inlinedTableName(of);
  return [
    {
      sql: `CREATE TABLE IF NOT EXISTS ${name}(row_id BIGINT, begin_snapshot BIGINT, ` +
        `end_snapshot BIGINT, ${definitions.join(", ")})`,
    },
    {
      sql:
        "INSERT INTO ducklake_inlined_data_tables SELECT :table, :name, :version WHERE NOT EXISTS " +
        "(SELECT 1 FROM ducklake_inlined_data_tables WHERE table_name = :name)",
      params: { table: of.table, name, version: of.version },
    },
  ];
}

/** Removes an inlined table that is empty and takes no more rows. No snapshot: nothing changes. */
export function dropInlinedTable({ table, version }: TableVersion): readonly Statement[] {
  const name = inlinedTableName({ table, version });
  return [
    refuse([
      [
        "table_in_use",
        "EXISTS (SELECT 1 FROM ducklake_table WHERE table_id = :table) AND " +
        `(EXISTS (SELECT 1 FROM ${name}) OR NOT ${COLUMNS_HAVE_CHANGED[1]})`,
      ],
    ], { table, version }),
    { sql: `DROP TABLE ${name}` },
    {
      sql: "DELETE FROM ducklake_inlined_data_tables WHERE table_name = :name",
      params: { name },
    },
  ];
}

/**
 * A batch as JSON: a list of lists, a row each. Integers of up to 64 bits and booleans are numbers,
 * blobs hexadecimal text, all else DuckDB's text of the value: SQLite reads every one of them exactly.
 */
export function encodeRows({ columns, rows, vectors }: RowBatch): string {
  const lines: string[] = [];
  for (let row = 0; row < rows; row++) {
    const cells = columns.map((column, index) => encodeCell(vectors[index]?.[row] ?? null, column));
    lines.push(`[${cells.join(",")}]`);
  }
  return `[${lines.join(",")}]`;
}

function encodeCell(value: LakeValue, column: Column): string {
  if (value === null) return "null";
  switch (storageOf(column.type)) {
    case "BIGINT":
      return `${Number.isInteger(value) || typeof value === "bigint" ? value : Number(value)}`;
    case "BLOB":
      return `"${value instanceof Uint8Array ? hexText(value) : ""}"`;
    default:
      return JSON.stringify(valueText(value, column));
  }
}
