/** The columns of a lake as DuckDB's types, and names and texts as DuckDB's SQL. */
import { assert } from "../../base/assert.ts";
import type { Column, PlainType } from "../column.ts";

const PLAIN: Readonly<Record<PlainType, string>> = {
  boolean: "BOOLEAN",
  int8: "TINYINT",
  int16: "SMALLINT",
  int32: "INTEGER",
  int64: "BIGINT",
  int128: "HUGEINT",
  uint8: "UTINYINT",
  uint16: "USMALLINT",
  uint32: "UINTEGER",
  uint64: "UBIGINT",
  float32: "FLOAT",
  float64: "DOUBLE",
  date: "DATE",
  time: "TIME",
  timestamp: "TIMESTAMP",
  timestamp_s: "TIMESTAMP_S",
  timestamp_ms: "TIMESTAMP_MS",
  timestamp_ns: "TIMESTAMP_NS",
  timestamptz: "TIMESTAMP WITH TIME ZONE",
  varchar: "VARCHAR",
  json: "JSON",
  uuid: "UUID",
  blob: "BLOB",
};

/** What a struct's field is called; null for one that is to be left out. */
export type NameField = (field: Column) => string | null;

/** A column's type in SQL: `STRUCT("a" INTEGER)`. */
export function duckdbType(
  { name, type, children }: Column,
  nameField: NameField = (field) => field.name,
): string {
  const child = (index: number) => duckdbType(childOf(children, index, name), nameField);
  switch (type.name) {
    case "decimal":
      return `DECIMAL(${type.precision},${type.scale})`;
    case "list":
      return `${child(0)}[]`;
    case "map":
      return `MAP(${child(0)}, ${child(1)})`;
    case "struct": {
      const fields = children.flatMap((field) => {
        const fieldName = nameField(field);
        return fieldName === null ? [] : [`${quoted(fieldName)} ${duckdbType(field, nameField)}`];
      });
      return `STRUCT(${fields.join(", ")})`;
    }
    default:
      return PLAIN[type.name];
  }
}

/** The element of a list, the key or the value of a map. */
export function childOf(children: readonly Column[], index: number, name: string): Column {
  const child = children[index];
  assert(child !== undefined, `column ${name} has a child ${index}`);
  return child;
}

/** A name in SQL, whatever it is. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text in SQL, whatever it is but NUL. */
export function literal(text: string): string {
  assert(!text.includes("\0"), "no SQL text has a NUL");
  return `'${text.replaceAll("'", "''")}'`;
}
