/**
 * The columns of a lake's table, in DuckLake's words: every column, nested ones too, has an id that
 * never changes and stands in Parquet files as `field_id`
 * (DuckLake 1.0 specification, "Data types" and "ducklake_column").
 */

/** DuckLake's names of types without parameters and without children. */
export type PlainType =
  | "boolean"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "int128"
  | "uint8"
  | "uint16"
  | "uint32"
  | "uint64"
  | "float32"
  | "float64"
  | "date"
  | "time"
  | "timestamp"
  | "timestamp_s"
  | "timestamp_ms"
  | "timestamp_ns"
  | "timestamptz"
  | "varchar"
  | "json"
  | "uuid"
  | "blob";

export type ColumnType =
  | { readonly name: PlainType }
  | { readonly name: "decimal"; readonly precision: number; readonly scale: number }
  | { readonly name: "list" | "struct" | "map" };

export interface Column {
  readonly id: number;
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
  /** The element of a list, the fields of a struct, the key and the value of a map; else none. */
  readonly children: readonly Column[];
}

/** A column that has no id yet: ids are given out by the leader alone. */
export type ColumnWish = Omit<Column, "id" | "children"> & {
  readonly children: readonly ColumnWish[];
};
