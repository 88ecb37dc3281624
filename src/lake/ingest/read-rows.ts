/** The rows of a request's body, checked against a table's columns, in batches of bounded size. */
import { assert } from "../../base/assert.ts";
import type { Column } from "../column.ts";
import type { RowBatch } from "../rows.ts";
import { readCsvRows } from "./csv-rows.ts";
import type { IngestFormat } from "./format.ts";
import { jsonBodyLines } from "./json-body.ts";
import { readJsonRows } from "./json-rows.ts";

export interface ReadRowsOptions {
  readonly format: IngestFormat;
  readonly columns: readonly Column[];
  /** Rows in one batch at most. */
  readonly batchRows: number;
}

/**
 * Holds one batch and one piece of the body at a time; there is no batch without rows. Throws
 * `invalid` for the first row that does not fit, with `details` {row, column}, `too_large` for one
 * that is longer than INGEST_ROW_BYTES_MAX, and what `body` throws.
 */
export function readRows(
  body: AsyncIterable<Uint8Array>,
  { format, columns, batchRows }: ReadRowsOptions,
): AsyncIterable<RowBatch> {
  assert(batchRows > 0, `${batchRows} rows in a batch`);
  switch (format) {
    case "ndjson":
      return readJsonRows(body, columns, batchRows);
    case "json":
      return readJsonRows(jsonBodyLines(body), columns, batchRows);
    case "csv":
      return readCsvRows(body, columns, batchRows);
    case "arrow":
      return arrowRows(body, columns, batchRows);
  }
}

/** Arrow's library is loaded when the first such body comes: a node starts without it. */
async function* arrowRows(
  body: AsyncIterable<Uint8Array>,
  columns: readonly Column[],
  batchRows: number,
): AsyncGenerator<RowBatch> {
  const { readArrowRows } = await import("./arrow-rows.ts");
  yield* readArrowRows(body, columns, batchRows);
}
