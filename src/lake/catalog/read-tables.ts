/** Schemas, tables and columns as of a snapshot. */
import type { Column } from "../column.ts";
import { columnTree, type StoredColumn } from "./column-rows.ts";
import {
  type CatalogQuery,
  CHOSEN,
  flagOrNull,
  type Row,
  seen,
  type SnapshotChoice,
  text,
  whole,
  wholeOrNull,
} from "./query.ts";

export interface LakeSchema {
  readonly id: number;
  readonly name: string;
}

export interface LakeTable {
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  /** Its own even where a lake was made again and gives its ids once more. */
  readonly uuid: string;
  /** Of its columns; what changes of the table and inlined rows have to name. */
  readonly version: number;
  readonly columns: readonly Column[];
}

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

export function listSchemas(snapshot: SnapshotChoice): CatalogQuery<readonly LakeSchema[]> {
  return {
    sql: "SELECT schema_id, schema_name FROM ducklake_schema AS row " +
      `WHERE ${seen("row")} ORDER BY schema_name`,
    params: { snapshot },
    decode: (rows) => rows.map(([id, name]) => ({ id: whole(id), name: text(name) })),
  };
}

export function listTables(snapshot: SnapshotChoice): CatalogQuery<readonly LakeTable[]> {
  return { sql: selectTables("1"), params: { snapshot }, decode: decodeTables };
}

/** By its name, in any case. */
export function findTable(
  { schema, name }: TableName,
  snapshot: SnapshotChoice,
): CatalogQuery<LakeTable | null> {
  return {
    sql: selectTables(
      "lower(s.schema_name) = lower(:schema) AND lower(t.table_name) = lower(:name)",
    ),
    params: { snapshot, schema, name },
    decode: (rows) => decodeTables(rows)[0] ?? null,
  };
}

/** Columns of an inlined table are those of the snapshot with which its version began. */
export function listColumns(
  table: number,
  snapshot: SnapshotChoice,
): CatalogQuery<readonly Column[]> {
  return {
    sql: "SELECT column_id, parent_column, column_name, column_type, nulls_allowed " +
      `FROM ducklake_column AS row WHERE table_id = :table AND ${seen("row")} ` +
      "ORDER BY column_order, column_id",
    params: { table, snapshot },
    decode: (rows) => columnTree(rows.map(storedColumn)),
  };
}

/** A row a column, so that one question answers all. */
function selectTables(condition: string): string {
  return "SELECT t.table_id, s.schema_name, t.table_name, (SELECT max(schema_version) " +
    "FROM ducklake_schema_versions AS v WHERE v.table_id = t.table_id " +
    `AND v.begin_snapshot <= ${CHOSEN}), t.table_uuid, c.column_id, c.parent_column, c.column_name, ` +
    "c.column_type, c.nulls_allowed FROM ducklake_table AS t " +
    `JOIN ducklake_schema AS s ON s.schema_id = t.schema_id AND ${seen("s")} ` +
    `JOIN ducklake_column AS c ON c.table_id = t.table_id AND ${seen("c")} ` +
    `WHERE ${seen("t")} AND ${condition} ` +
    "ORDER BY s.schema_name, t.table_name, c.column_order, c.column_id";
}

function decodeTables(rows: readonly Row[]): readonly LakeTable[] {
  const tables = new Map<number, { first: Row; columns: StoredColumn[] }>();
  for (const row of rows) {
    const id = whole(row[0]);
    const table = tables.get(id) ?? { first: row, columns: [] };
    table.columns.push(storedColumn(row.slice(5)));
    tables.set(id, table);
  }
  return [...tables].map(([id, { first: [, schema, name, version, uuid], columns }]) => ({
    id,
    schema: text(schema),
    name: text(name),
    uuid: text(uuid),
    version: whole(version),
    columns: columnTree(columns),
  }));
}

function storedColumn([id, parent, name, type, nullable]: Row): StoredColumn {
  return [
    whole(id),
    wholeOrNull(parent ?? null),
    text(name),
    text(type),
    flagOrNull(nullable ?? null) !== false,
  ];
}
