/**
 * Parquet files to Arrow vectors, by parquet-wasm: files as we write them, and others whose columns
 * have the ids and the types that we write.
 */
import { type Data, type Field, RecordBatch, tableFromIPC } from "apache-arrow";
import { readParquet } from "parquet-wasm/esm";
import { Failure } from "../../base/failure.ts";
import { PARQUET_ROW_GROUP_ROWS } from "../../base/lake-limits.ts";
import type { Column } from "../column.ts";
import { FIELD_ID, holds } from "./arrow-field.ts";
import { startParquet } from "./wasm.ts";

/** One vector a column, for each batch of rows; undefined for an optional column that is not there. */
export type DecodedBatch = readonly (Data | undefined)[];

/**
 * Columns are found by their ids. Throws `invalid` for a file that lacks one which is not among
 * `optional`, or has it with another type: its rows can be read, but not copied.
 */
export function decodeParquet(
  file: Uint8Array,
  columns: readonly Column[],
  optional: readonly Column[],
): readonly DecodedBatch[] {
  startParquet();
  const options = { batchSize: PARQUET_ROW_GROUP_ROWS };
  const { schema, batches } = tableFromIPC(readParquet(file, options).intoIPCStream());
  const all = [...columns, ...optional];
  const places = all.map((column) => placeOf(schema.fields, column));
  for (const [index, { name }] of columns.entries()) {
    if (places[index] !== -1) continue;
    throw new Failure("invalid", `Cannot copy the rows of a file: it has no column ${name}`);
  }
  return batches.filter(({ numRows }) => numRows > 0).map((batch: RecordBatch) =>
    places.map((at) => batch.data.children[at])
  );
}

function placeOf(fields: readonly Field[], column: Column): number {
  const at = fields.findIndex((field) => idOf(field) === column.id);
  const field = fields[at];
  if (field === undefined) return -1;
  if (holds(field.type, column) && hasIds(field, column)) return at;
  throw new Failure(
    "invalid",
    `Cannot copy the rows of a file: its column ${column.name} is ${field.type}`,
  );
}

/** Fields of structs go by their order, so that must be the table's. */
function hasIds({ type }: Field, column: Column): boolean {
  if (column.type.name !== "struct") return true;
  return column.children.every((child, index) => {
    const field: Field | undefined = type.children[index];
    return field !== undefined && idOf(field) === child.id && hasIds(field, child);
  });
}

function idOf({ metadata }: Field): number {
  return Number(metadata.get(FIELD_ID) ?? Number.NaN);
}
