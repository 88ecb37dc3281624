/**
 * Says in a finished Parquet file which columns are UUIDs and JSON. The writer stores them as 16
 * bytes and as text but, having no name for them, does not say so; DuckDB would read a BLOB. The
 * words are added to the footer, and the Arrow schema is taken out of it, which repeats in
 * kilobytes what the Parquet schema says and would now contradict it.
 */
import { assert } from "../../base/assert.ts";
import type { Column } from "../column.ts";
import { FOOTER_TAIL_BYTES, type FooterElement, readFooter } from "./footer.ts";

/** A field `logicalType` after `field_id`: the union's member 14, an empty struct. */
const UUID = [0x1c, 0xec, 0x00, 0x00];
/** ConvertedType JSON, 19 in zigzag, in place of UTF8. */
const CONVERTED_UTF8 = 0;
const CONVERTED_JSON = 38;
/** LogicalType's member 12, JSON, in place of member 1, STRING: both empty structs. */
const LOGICAL_STRING = 0x1c;
const LOGICAL_JSON = 0xcc;

/** Changes `file` and returns the part of it that is the file now. */
export function declareTypes(file: Uint8Array, columns: readonly Column[]): Uint8Array {
  const footer = readFooter(file);
  const names = new Map<number, string>();
  collectNames(columns, names);
  const parts: Uint8Array[] = [];
  let from = footer.begin;
  for (const element of footer.elements) {
    const name = element.fieldId === undefined ? undefined : names.get(element.fieldId);
    if (name === "json") declareJson(file, element);
    if (name !== "uuid") continue;
    assert(element.logicalTypeAt === undefined, `the UUID ${element.fieldId} has a type already`);
    parts.push(file.slice(from, element.endAt), Uint8Array.from(UUID));
    from = element.endAt;
  }
  const { pairs } = footer;
  assert(pairs !== undefined, "the Parquet writer stores the Arrow schema");
  parts.push(file.slice(from, pairs.begin));
  const rest = file.slice(pairs.end, footer.end);
  // The next field, created_by, says its id as one more than that of the pairs.
  assert(rest[0] === 0x18, "created_by follows the pairs of a Parquet footer");
  rest[0] = 0x28;
  parts.push(rest);
  return replaceFooter(file, footer.begin, parts);
}

function collectNames(columns: readonly Column[], names: Map<number, string>): void {
  for (const column of columns) {
    names.set(column.id, column.type.name);
    collectNames(column.children, names);
  }
}

function declareJson(file: Uint8Array, element: FooterElement): void {
  const { convertedTypeAt, logicalTypeAt } = element;
  assert(convertedTypeAt !== undefined && logicalTypeAt !== undefined, "JSON is stored as text");
  assert(file[convertedTypeAt] === CONVERTED_UTF8, "JSON is stored as UTF8");
  assert(file[logicalTypeAt] === LOGICAL_STRING, "JSON is stored as STRING");
  file[convertedTypeAt] = CONVERTED_JSON;
  file[logicalTypeAt] = LOGICAL_JSON;
}

function replaceFooter(file: Uint8Array, begin: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const end = begin + length;
  // What was taken out names every column, so it is longer than what was added.
  assert(end + FOOTER_TAIL_BYTES <= file.length, `a footer of ${length} bytes fits in its place`);
  let at = begin;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  const tail = file.slice(-4);
  new DataView(file.buffer, file.byteOffset).setUint32(end, length, true);
  file.set(tail, end + 4);
  return file.subarray(0, end + FOOTER_TAIL_BYTES);
}
