/**
 * CSV as RFC 4180 has it: a header, CRLF, quotes where they are needed. Null is an empty field and
 * an empty text is `""`. What has children stands there as JSON, a blob as base64.
 */
import { DuckDBBlobValue, type DuckDBType, DuckDBTypeId, type DuckDBValue } from "@duckdb/node-api";
import { jsonEncoder } from "./json-value.ts";
import { scalarText, shortestFloat32 } from "./scalar-text.ts";

const NESTED: ReadonlySet<DuckDBTypeId> = new Set([
  DuckDBTypeId.LIST,
  DuckDBTypeId.ARRAY,
  DuckDBTypeId.STRUCT,
  DuckDBTypeId.MAP,
  DuckDBTypeId.UNION,
  DuckDBTypeId.VARIANT,
]);

export function csvHeader(names: readonly string[]): string {
  return `${names.map(quotedIfNeeded).join(",")}\r\n`;
}

/** An encoder of one column. */
export function csvField(type: DuckDBType): (value: DuckDBValue) => string {
  const text = textOf(type);
  return (value) => value === null || value === undefined ? "" : quotedIfNeeded(text(value));
}

function textOf(type: DuckDBType): (value: DuckDBValue) => string {
  if (NESTED.has(type.typeId)) return jsonEncoder(type);
  if (type.typeId === DuckDBTypeId.FLOAT) {
    return (value) => String(shortestFloat32(value as number));
  }
  return (value) => value instanceof DuckDBBlobValue ? value.bytes.toBase64() : scalarText(value);
}

function quotedIfNeeded(text: string): string {
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
