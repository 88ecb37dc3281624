/**
 * Columns as rows of `ducklake_column`: one row a column, nested ones pointing at their parent, ids
 * given from outside to inside, `column_type` the type's name.
 */
import { Failure } from "../../base/failure.ts";
import { LAKE_COLUMNS_MAX, LAKE_NESTING_MAX } from "../../base/lake-limits.ts";
import type { Column, ColumnType, ColumnWish, PlainType } from "../column.ts";
import { corruptText } from "./corrupt-text.ts";
import { checkLakeName } from "./name.ts";

/** `[offset, offset of the parent or null, name, type, nullable, "literal" or ""]`; offsets from 0. */
export type ColumnRow = readonly [number, number | null, string, string, 0 | 1, "literal" | ""];

/** A row as it is read: id, parent's id, name, type, nullable. */
export type StoredColumn = readonly [number, number | null, string, string, boolean];

const PLAIN_TYPES: ReadonlySet<string> = new Set<PlainType>([
  ...["boolean", "int8", "int16", "int32", "int64", "int128"] as const,
  ...["uint8", "uint16", "uint32", "uint64", "float32", "float64", "date", "time"] as const,
  ...["timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamptz"] as const,
  ...["varchar", "json", "uuid", "blob"] as const,
]);
const DECIMAL_PRECISION_MAX = 38;

/** Throws `invalid` for columns that no table can have. */
export function columnRows(wishes: readonly ColumnWish[]): readonly ColumnRow[] {
  if (wishes.length === 0) throw invalid("it has no columns");
  const rows: ColumnRow[] = [];
  const add = (siblings: readonly ColumnWish[], parent: number | null, depth: number) => {
    if (depth > LAKE_NESTING_MAX) throw invalid(`it nests deeper than ${LAKE_NESTING_MAX}`);
    checkNames(siblings);
    for (const { name, type, nullable, children } of siblings) {
      checkShape(name, type, children);
      const offset = rows.length;
      if (offset >= LAKE_COLUMNS_MAX) throw invalid(`it has more than ${LAKE_COLUMNS_MAX} columns`);
      const kind = children.length > 0 ? "" : "literal";
      rows.push([offset, parent, name, typeText(type), nullable ? 1 : 0, kind]);
      add(children, offset, depth + 1);
    }
  };
  add(wishes, null, 0);
  return rows;
}

/** The tree of rows in the order of their ids. Throws `corrupt` for a type that we do not know. */
export function columnTree(rows: readonly StoredColumn[]): readonly Column[] {
  const childrenOf = new Map<number | null, StoredColumn[]>();
  for (const row of rows) {
    const siblings = childrenOf.get(row[1]);
    if (siblings) siblings.push(row);
    else childrenOf.set(row[1], [row]);
  }
  const build = (parent: number | null): readonly Column[] =>
    (childrenOf.get(parent) ?? []).map(([id, , name, type, nullable]) => ({
      id,
      name,
      type: parseType(type),
      nullable,
      children: build(id),
    }));
  return build(null);
}

export function typeText(type: ColumnType): string {
  return type.name === "decimal" ? `decimal(${type.precision},${type.scale})` : type.name;
}

/** Throws `corrupt`. */
export function parseType(text: string): ColumnType {
  if (text === "list" || text === "struct" || text === "map") return { name: text };
  if (PLAIN_TYPES.has(text)) return { name: text as PlainType };
  const [, precision, scale] = /^decimal\((\d+),\s*(\d+)\)$/.exec(text) ?? [];
  if (precision === undefined) throw corruptText(text, "a column's type");
  return { name: "decimal", precision: Number(precision), scale: Number(scale) };
}

function checkNames(siblings: readonly ColumnWish[]): void {
  const seen = new Set<string>();
  for (const { name } of siblings) {
    checkLakeName(name, "column");
    const lower = name.toLowerCase();
    if (seen.has(lower)) throw invalid(`it has two columns called ${JSON.stringify(name)}`);
    seen.add(lower);
  }
}

function checkShape(name: string, type: ColumnType, children: readonly ColumnWish[]): void {
  const names = children.map((child) => child.name).join();
  const isRight = type.name === "list"
    ? names === "element"
    : type.name === "map"
    ? names === "key,value"
    : type.name === "struct"
    ? children.length > 0
    : children.length === 0;
  if (!isRight) {
    throw invalid(`the column ${JSON.stringify(name)} is a ${type.name} with children [${names}]`);
  }
  if (type.name !== "decimal") return;
  const { precision, scale } = type;
  const isWhole = Number.isInteger(precision) && Number.isInteger(scale);
  if (
    isWhole && precision >= 1 && precision <= DECIMAL_PRECISION_MAX && scale >= 0 &&
    scale <= precision
  ) {
    return;
  }
  throw invalid(`the column ${JSON.stringify(name)} is a ${typeText(type)}`);
}

function invalid(reason: string): Failure {
  return new Failure("invalid", `Cannot have this table: ${reason}`);
}
