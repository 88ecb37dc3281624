/** Reads whole bodies into rows. */
import type { Column } from "../../src/lake/column.ts";
import type { IngestFormat } from "../../src/lake/ingest/format.ts";
import { readRows } from "../../src/lake/ingest/read-rows.ts";
import type { LakeValue, RowBatch } from "../../src/lake/rows.ts";
import { allOf, chunksOf, thrownBy } from "./byte-chunks.ts";

export type Body = string | Uint8Array | AsyncIterable<Uint8Array>;

export async function rowsOf(
  body: Body,
  format: IngestFormat,
  columns: readonly Column[],
  batchRows = 1_000,
): Promise<LakeValue[][]> {
  return rowsIn(await allOf(readRows(chunks(body), { format, columns, batchRows })));
}

export function rowsIn(batches: readonly RowBatch[]): LakeValue[][] {
  return batches.flatMap(({ rows, vectors }) => {
    for (const vector of vectors) {
      if (vector.length !== rows) throw new Error(`${vector.length} values for ${rows} rows`);
    }
    return Array.from({ length: rows }, (_, row) => vectors.map((vector) => vector[row]!));
  });
}

/** The failure of a body whose rows do not fit. */
export function refusal(
  body: Body,
  format: IngestFormat,
  columns: readonly Column[],
): Promise<unknown> {
  return thrownBy(readRows(chunks(body), { format, columns, batchRows: 1_000 }));
}

function chunks(body: Body): AsyncIterable<Uint8Array> {
  return typeof body === "string" || body instanceof Uint8Array ? chunksOf(body) : body;
}
