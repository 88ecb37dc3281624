/**
 * What a catalog knows of a table's and its files' columns. Statistics of a table only ever widen,
 * in SQL, so that nobody has to know them before. A table has them for the columns of its first
 * rows: of a column that came later nothing is claimed, as in the real DuckLake.
 */
import type { Statement } from "../../database/statement.ts";
import type { Column, ColumnType } from "../column.ts";
import type { ColumnStatistics } from "../rows.ts";
import { NEXT_FILE_ID } from "./snapshot.ts";
import { isForeign, isLess, orderOf } from "./text-order.ts";
import { statisticText } from "./value-text.ts";

/** `[column, order, values, nulls, contains NaN, smallest, largest, bytes]`. */
export type StatisticsRow = readonly [
  number,
  string,
  number,
  number,
  0 | 1 | null,
  string | null,
  string | null,
  number,
];

/** Of columns that are not among `columns` nothing can be said. */
export function statisticsRows(
  statistics: readonly ColumnStatistics[],
  columns: readonly Column[],
): readonly StatisticsRow[] {
  const types = new Map<number, ColumnType>();
  const collect = ({ id, type, children }: Column): void => {
    if (children.length === 0) types.set(id, type);
    children.forEach(collect);
  };
  columns.forEach(collect);
  return statistics.flatMap(({ columnId, values, nulls, nans, min, max, bytes }) => {
    const type = types.get(columnId);
    if (type === undefined) return [];
    const isReal = type.name === "float32" || type.name === "float64";
    return [[
      columnId,
      orderOf(type),
      values,
      nulls,
      isReal ? (nans ? 1 : 0) : null,
      statisticText(min, type, "min"),
      statisticText(max, type, "max"),
      bytes,
    ]];
  });
}

const FRESH =
  "(SELECT value ->> 0 AS column_id, value ->> 1 AS kind, value ->> 2 AS value_count, " +
  "value ->> 3 AS null_count, value ->> 4 AS has_nan, value ->> 5 AS min_value, " +
  "value ->> 6 AS max_value, value ->> 7 AS bytes FROM json_each(:statistics)) AS fresh";

/** What becomes of a kept smallest (`side` "min") or largest value. */
function widened(side: "min" | "max"): string {
  const kept = `kept.${side}_value`;
  const fresh = `fresh.${side}_value`;
  const [a, b] = side === "min" ? [fresh, kept] : [kept, fresh];
  return `CASE WHEN fresh.value_count = fresh.null_count THEN ${kept} ` +
    `WHEN kept.min_value IS NULL AND kept.max_value IS NULL THEN ${fresh} ` +
    `WHEN ${kept} IS NULL OR ${fresh} IS NULL OR ${isForeign("fresh.kind", kept)} THEN NULL ` +
    `WHEN ${isLess("fresh.kind", a, b)} THEN ${fresh} ELSE ${kept} END`;
}

/** Of a table that has had no rows yet. */
const BEGIN = "INSERT INTO ducklake_table_column_stats SELECT :table, column_id, null_count > 0, " +
  `has_nan, min_value, max_value, NULL FROM ${FRESH} ` +
  "WHERE NOT EXISTS (SELECT 1 FROM ducklake_table_stats WHERE table_id = :table)";

const LACK = "UPDATE ducklake_table_column_stats SET contains_null = 1 WHERE table_id = :table " +
  `AND column_id NOT IN (SELECT column_id FROM ${FRESH})`;

const WIDEN = "UPDATE ducklake_table_column_stats AS kept SET " +
  "contains_null = kept.contains_null OR fresh.null_count > 0, " +
  "contains_nan = kept.contains_nan OR fresh.has_nan, " +
  `min_value = ${widened("min")}, max_value = ${widened("max")} ` +
  `FROM ${FRESH} WHERE kept.table_id = :table AND kept.column_id = fresh.column_id`;

export interface AddedRows {
  readonly table: number;
  readonly rows: number;
  /** 0 for rows that are in no file. */
  readonly fileBytes: number;
  /** One list a file or a batch. */
  readonly statistics: readonly (readonly StatisticsRow[])[];
  /** Rows may lack columns that the table has got meanwhile, and have null in them. */
  readonly mayLackColumns: boolean;
}

/** Takes the row ids of the rows as well, so it comes behind what uses `NEXT_ROW_ID`. */
export function addToTable(added: AddedRows): readonly Statement[] {
  const { table, rows, fileBytes, statistics, mayLackColumns } = added;
  return [
    ...statistics.flatMap((fresh, index) => {
      const params = { table, statistics: JSON.stringify(fresh) };
      return [
        ...(index === 0 ? [{ sql: BEGIN, params }] : []),
        { sql: WIDEN, params },
        ...(mayLackColumns ? [{ sql: LACK, params }] : []),
      ];
    }),
    {
      sql: "INSERT INTO ducklake_table_stats SELECT :table, 0, 0, 0 " +
        "WHERE NOT EXISTS (SELECT 1 FROM ducklake_table_stats WHERE table_id = :table)",
      params: { table },
    },
    {
      sql: "UPDATE ducklake_table_stats SET record_count = record_count + :rows, " +
        "next_row_id = next_row_id + :rows, file_size_bytes = file_size_bytes + :bytes " +
        "WHERE table_id = :table",
      params: { table, rows, bytes: fileBytes },
    },
  ];
}

/** The row id that a table's next row gets, as SQL. */
export const NEXT_ROW_ID =
  "coalesce((SELECT next_row_id FROM ducklake_table_stats WHERE table_id = :table), 0)";

/** The statistics of new files, before their ids are taken. */
export function addFileStatistics(
  table: number,
  files: readonly (readonly StatisticsRow[])[],
): Statement {
  return {
    sql: `INSERT INTO ducklake_file_column_stats SELECT ${NEXT_FILE_ID} + file.key, :table, ` +
      "stat.value ->> 0, stat.value ->> 7, stat.value ->> 2, stat.value ->> 3, stat.value ->> 5, " +
      "stat.value ->> 6, stat.value ->> 4, NULL " +
      "FROM json_each(:files) AS file, json_each(file.value) AS stat ORDER BY file.key, stat.key",
    params: { table, files: JSON.stringify(files) },
  };
}
