/** Columns of a lake's tables, short to write. */
import type { Column, ColumnType, PlainType } from "../../src/lake/column.ts";

let lastId = 0;

export function column(
  name: string,
  type: PlainType | ColumnType,
  options: { readonly nullable?: boolean; readonly children?: readonly Column[] } = {},
): Column {
  return {
    id: ++lastId,
    name,
    type: typeof type === "string" ? { name: type } : type,
    nullable: options.nullable ?? true,
    children: options.children ?? [],
  };
}

export function decimal(precision: number, scale: number): ColumnType {
  return { name: "decimal", precision, scale };
}

export function list(name: string, element: PlainType): Column {
  return column(name, { name: "list" }, { children: [column("element", element)] });
}

export function struct(name: string, ...children: Column[]): Column {
  return column(name, { name: "struct" }, { children });
}

export function map(name: string, key: PlainType, value: PlainType): Column {
  const children = [column("key", key, { nullable: false }), column("value", value)];
  return column(name, { name: "map" }, { children });
}
