/**
 * A lake's tables as DuckDB's views over Parquet files. `read_parquet` with `schema` finds columns
 * by their field ids, so files from before a column was renamed, added, dropped or widened read as
 * what the table is now (DuckDB, "Reading and writing Parquet files", parameters).
 */
import { SNAPSHOT_COLUMN } from "../catalog/flush.ts";
import type { Column } from "../column.ts";
import { duckdbType, literal, quoted } from "./duckdb-type.ts";
import { asToday, type FieldNames, isAbsent, typeInFile } from "./field-names.ts";
import type { OrderedTable } from "./message.ts";

/** A file as SQL names it. */
export interface ViewFile {
  readonly name: string;
  /** Name of the file with the positions of its deleted rows. */
  readonly deletions?: string;
  /** Only rows of this snapshot and of earlier ones. */
  readonly upToSnapshot?: number;
  readonly fieldNames: FieldNames;
}

/** The statements that make a table's view over files with data or inlined rows. */
export function viewStatements(table: OrderedTable, files: readonly ViewFile[]): string[] {
  const name = `${quoted(table.schema)}.${quoted(table.name)}`;
  const parts = [
    ...wholeFiles(table, files.filter((file) => isWhole(file))),
    ...files.filter((file) => !isWhole(file)).map((file) => someRows(table, file)),
  ];
  const body = parts.length > 0 ? parts.join(" UNION ALL ") : noRows(table.columns);
  return [
    ...(table.schema === "main" ? [] : [`CREATE SCHEMA IF NOT EXISTS ${quoted(table.schema)}`]),
    `CREATE VIEW ${name} AS ${body}`,
  ];
}

/** One scan for all files in which the fields of structs have the same names. */
function wholeFiles(table: OrderedTable, files: readonly ViewFile[]): string[] {
  const groups = Map.groupBy(
    files,
    ({ fieldNames }) => JSON.stringify([...fieldNames].sort(([a], [b]) => a - b)),
  );
  return [...groups.values()].map((group) =>
    select(table, group.map(({ name }) => name), group[0]?.fieldNames ?? new Map())
  );
}

function isWhole({ deletions, upToSnapshot }: ViewFile): boolean {
  return deletions === undefined && upToSnapshot === undefined;
}

/** A file of which some rows are deleted, or were not there yet. */
function someRows(
  table: OrderedTable,
  { name, deletions, upToSnapshot, fieldNames }: ViewFile,
): string {
  const conditions: string[] = [];
  if (deletions !== undefined) {
    const positions = `SELECT pos FROM read_parquet([${literal(deletions)}])`;
    conditions.push(`file_row_number NOT IN (${positions})`);
  }
  if (upToSnapshot !== undefined) {
    conditions.push(`${quoted(SNAPSHOT_COLUMN.name)} <= ${upToSnapshot}`);
  }
  const options = {
    withRowNumber: deletions !== undefined,
    withSnapshot: upToSnapshot !== undefined,
  };
  return `${select(table, [name], fieldNames, options)} WHERE ${conditions.join(" AND ")}`;
}

function select(
  table: OrderedTable,
  files: readonly string[],
  names: FieldNames,
  { withRowNumber = false, withSnapshot = false } = {},
): string {
  const present = table.columns.filter((column) => !isAbsent(column, names));
  const fields = present.map((column) => {
    const text = table.initialDefaults[column.id];
    const initial = text === undefined ? "NULL::VARCHAR" : literal(text);
    return `${column.id}: {'name': ${literal(column.name)}, 'type': ${
      literal(typeInFile(column, names))
    }, 'default_value': ${initial}}`;
  });
  if (withSnapshot) {
    const { name, fieldId } = SNAPSHOT_COLUMN;
    const type = "'type': 'BIGINT', 'default_value': NULL::VARCHAR";
    fields.push(`${fieldId}: {'name': ${literal(name)}, ${type}}`);
  }
  const options = [
    `schema = MAP {${fields.join(", ")}}`,
    ...(withRowNumber ? ["file_row_number = true"] : []),
  ];
  const columns = table.columns.map((column) => {
    const name = quoted(column.name);
    if (!present.includes(column)) return `NULL::${duckdbType(column)} AS ${name}`;
    const today = asToday(column, name, names);
    return today === name ? name : `${today} AS ${name}`;
  });
  const list = files.map(literal).join(", ");
  return `SELECT ${columns.join(", ")} FROM read_parquet([${list}], ${options.join(", ")})`;
}

function noRows(columns: readonly Column[]): string {
  const nulls = columns.map((column) => `NULL::${duckdbType(column)} AS ${quoted(column.name)}`);
  return `SELECT ${nulls.join(", ")} WHERE false`;
}
