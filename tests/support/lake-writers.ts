/** Rows as clients write them: NDJSON, CSV, Arrow streams. */
import { makeData, RecordBatch, Schema, Struct, Table, tableToIPC } from "apache-arrow";
import type { Column } from "../../src/lake/column.ts";
import { arrowData, arrowField } from "../../src/lake/ingest/arrow-build.ts";
import type { LakeValue } from "../../src/lake/rows.ts";

export function ndjson(columns: readonly Column[], rows: readonly LakeValue[][]): string {
  return rows.map((row) => jsonObject(columns, row)).join("\n");
}

export function csv(columns: readonly Column[], rows: readonly LakeValue[][]): string {
  const header = columns.map(({ name }) => quoted(name));
  const lines = rows.map((row) => columns.map((column, at) => csvField(column, row[at]!)));
  return [header, ...lines].map((fields) => fields.join(",") + "\r\n").join("");
}

export function arrowStream(columns: readonly Column[], rows: readonly LakeValue[][]): Uint8Array {
  const schema = new Schema(columns.map(arrowField));
  const children = columns.map((column, at) => arrowData(column, rows.map((row) => row[at]!)));
  const data = makeData({ type: new Struct(schema.fields), length: rows.length, children });
  return tableToIPC(new Table([new RecordBatch(schema, data)]), "stream");
}

function jsonObject(columns: readonly Column[], row: readonly LakeValue[]): string {
  const fields = columns.map((column, at) =>
    `${JSON.stringify(column.name)}:${json(column, row[at]!)}`
  );
  return `{${fields.join(",")}}`;
}

function json(column: Column, value: LakeValue): string {
  if (value === null) return "null";
  const { type, children } = column;
  switch (type.name) {
    case "list":
      return `[${(value as LakeValue[]).map((item) => json(children[0]!, item)).join(",")}]`;
    case "struct":
      return jsonObject(children, value as LakeValue[]);
    case "map":
      return `[${
        (value as LakeValue[][]).map((pair) =>
          `[${json(children[0]!, pair[0]!)},${json(children[1]!, pair[1]!)}]`
        ).join(",")
      }]`;
    case "json":
      return String(value);
    case "blob":
      return JSON.stringify({ base64: text(column, value) });
  }
  const plain = typeof value === "boolean" || typeof value === "number" || type.name === "decimal";
  const written = text(column, value);
  const isDate = type.name === "date";
  const special = typeof value === "number" && !Number.isFinite(value);
  if (typeof value === "bigint" && /int/.test(type.name)) return written;
  return plain && !isDate && !special ? written : JSON.stringify(written);
}

function csvField(column: Column, value: LakeValue): string {
  if (value === null) return "";
  if (column.children.length > 0 || column.type.name === "json") return quoted(json(column, value));
  const written = text(column, value);
  return /^[^",\r\n]+$/.test(written) ? written : quoted(written);
}

function quoted(field: string): string {
  return `"${field.replaceAll('"', '""')}"`;
}

/** A value without children as text. */
function text({ type }: Column, value: LakeValue): string {
  if (value instanceof Uint8Array) return value.toBase64();
  if (Object.is(value, -0)) return "-0";
  switch (type.name) {
    case "decimal":
      return decimalText(value as bigint, type.scale);
    case "date":
      return new Date((value as number) * 86_400_000).toISOString().slice(0, 10);
    case "time":
      return momentText(value as bigint, 6).slice(11);
    case "timestamp_s":
      return momentText(value as bigint, 0);
    case "timestamp_ms":
      return momentText(value as bigint, 3);
    case "timestamp":
      return momentText(value as bigint, 6);
    case "timestamp_ns":
      return momentText(value as bigint, 9);
    case "timestamptz":
      return `${momentText(value as bigint, 6)}Z`;
    default:
      return String(value);
  }
}

function decimalText(digits: bigint, scale: number): string {
  const sign = digits < 0n ? "-" : "";
  const all = String(digits < 0n ? -digits : digits).padStart(scale + 1, "0");
  const point = all.length - scale;
  return scale === 0 ? sign + all : `${sign}${all.slice(0, point)}.${all.slice(point)}`;
}

function momentText(units: bigint, digits: number): string {
  const perSecond = 10n ** BigInt(digits);
  const fraction = ((units % perSecond) + perSecond) % perSecond;
  const seconds = new Date(Number((units - fraction) / perSecond) * 1_000).toISOString().slice(
    0,
    19,
  );
  return digits === 0 ? seconds : `${seconds}.${String(fraction).padStart(digits, "0")}`;
}
