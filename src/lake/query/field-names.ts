/**
 * Fields of structs by their ids. `read_parquet` finds columns by field id, but what is inside of
 * them by name, and names change: a file is read with the names that it has, and its structs are
 * then made into what they are now. A field that came later than its file is null there, even when
 * an older one of the same name was dropped.
 */
import { assert } from "../../base/assert.ts";
import type { Column } from "../column.ts";
import { childOf, duckdbType, type NameField, quoted } from "./duckdb-type.ts";

/** What the fields of structs are called in one file, by their ids. */
export type FieldNames = ReadonlyMap<number, string>;

/** The fields of all structs among the columns, at any depth. */
export function structFields(columns: readonly Column[]): Column[] {
  return columns.flatMap(({ type, children }) => [
    ...(type.name === "struct" ? children : []),
    ...structFields(children),
  ]);
}

/** A column's type as its file has it, without fields that came later. */
export function typeInFile(column: Column, names: FieldNames): string {
  return duckdbType(column, inFile(names));
}

/** True when the file has none of a struct's fields, so that nothing can be read of it. */
export function isAbsent(column: Column, names: FieldNames): boolean {
  if (column.type.name !== "struct") {
    return column.children.some((child) => isAbsent(child, names));
  }
  return column.children.every((field) => !names.has(field.id) || isAbsent(field, names));
}

/** SQL that makes of `source`, a value with the file's names, one with today's. */
export function asToday(column: Column, source: string, names: FieldNames, depth = 0): string {
  if (isAsToday(column, names)) return source;
  const { type, children, name } = column;
  const made = (): string => {
    if (type.name === "struct") {
      const fields = children.map((field) =>
        `${quoted(field.name)} := ${fieldToday(field, source, names, depth)}`
      );
      return `struct_pack(${fields.join(", ")})`;
    }
    const item = `item${depth}`;
    if (type.name === "list") {
      const element = asToday(childOf(children, 0, name), item, names, depth + 1);
      return `list_transform(${source}, lambda ${item}: ${element})`;
    }
    assert(type.name === "map", `${name} has children, so it is a struct, a list or a map`);
    const key = asToday(childOf(children, 0, name), `${item}.key`, names, depth + 1);
    const value = asToday(childOf(children, 1, name), `${item}.value`, names, depth + 1);
    return `map_from_entries(list_transform(map_entries(${source}), ` +
      `lambda ${item}: struct_pack(key := ${key}, value := ${value})))`;
  };
  return `CASE WHEN ${source} IS NULL THEN NULL ELSE ${made()} END`;
}

function fieldToday(field: Column, source: string, names: FieldNames, depth: number): string {
  const name = names.get(field.id);
  if (name === undefined || isAbsent(field, names)) return `NULL::${duckdbType(field)}`;
  return asToday(field, `${source}.${quoted(name)}`, names, depth);
}

function isAsToday(column: Column, names: FieldNames): boolean {
  return duckdbType(column) === typeInFile(column, names);
}

function inFile(names: FieldNames): NameField {
  return (field) => isAbsent(field, names) ? null : names.get(field.id) ?? null;
}
