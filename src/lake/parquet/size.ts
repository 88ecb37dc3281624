/** How many bytes values take as Arrow vectors: exactly, once they are, and at most, before. */
import type { Data } from "apache-arrow";
import type { Column } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { child } from "./arrow-field.ts";

/** Of the places of `data` alone, which may be a slice of a larger vector. */
export function dataBytes(data: Data): number {
  const { length, values, children } = data;
  const validity = data.nullCount > 0 ? length / 8 : 0;
  const offsets = data.valueOffsets as Int32Array | undefined;
  if (offsets === undefined) {
    // Of booleans a slice has all bytes; no value of one width has more than 16.
    const own = values === undefined ? 0 : Math.min(values.byteLength, length * 16);
    return children.reduce((sum, child) => sum + dataBytes(child), validity + own);
  }
  const begin = offsets[0] ?? 0;
  const count = (offsets[length] ?? 0) - begin;
  const [elements] = children;
  const inside = elements === undefined ? count : dataBytes(elements.slice(begin, count));
  return validity + 4 * length + inside;
}

/** As an Arrow vector: at least as many bytes as that has. */
export function vectorBytes(column: Column, values: readonly LakeValue[]): number {
  // One byte for whether it is null; a bit would do.
  const each = 1 + placeBytes(column);
  let bytes = values.length * each;
  switch (column.type.name) {
    case "varchar":
    case "json":
      for (const value of values) if (typeof value === "string") bytes += Buffer.byteLength(value);
      return bytes;
    case "blob":
      for (const value of values) if (value instanceof Uint8Array) bytes += value.length;
      return bytes;
    case "list":
      for (const value of values) {
        if (isList(value)) bytes += vectorBytes(child(column, 0), value);
      }
      return bytes;
    case "map":
      for (const value of values) if (isList(value)) bytes += fieldBytes(column, value);
      return bytes;
    case "struct":
      return bytes + fieldBytes(column, values);
    default:
      return bytes;
  }
}

/** Bytes of one place in the vector itself. */
function placeBytes(column: Column): number {
  switch (column.type.name) {
    case "boolean":
    case "int8":
    case "uint8":
    case "struct":
      return 1;
    case "int16":
    case "uint16":
      return 2;
    case "decimal":
    case "uuid":
      return 16;
    case "int32":
    case "uint32":
    case "float32":
    case "date":
    case "varchar":
    case "json":
    case "blob":
    case "list":
    case "map":
      return 4;
    default:
      return 8;
  }
}

/** Of structs and of the entries of maps; where one is null, its fields have a place all the same. */
function fieldBytes(column: Column, values: readonly LakeValue[]): number {
  let bytes = 0;
  for (const [index, field] of column.children.entries()) {
    const vector = values.map((value) => isList(value) ? value[index] ?? null : null);
    bytes += vectorBytes(field, vector);
  }
  return bytes;
}

function isList(value: LakeValue): value is readonly LakeValue[] {
  return Array.isArray(value);
}
