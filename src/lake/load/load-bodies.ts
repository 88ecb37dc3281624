/**
 * Bodies of requests → rows of one table: small ones as statements for the catalog, the rest as
 * files. A body that does not fit is left out as a whole; where some of its rows are in a file
 * already, all is done again without it.
 */
import type { Data } from "apache-arrow";
import { isFailure } from "../../base/failure.ts";
import {
  LOAD_BATCH_ROWS,
  LOAD_FILE_BYTES_MAX,
  LOAD_INLINED_CHARACTERS_MAX,
  PARQUET_ROWS_MAX,
} from "../../base/lake-limits.ts";
import { canInline, encodeRows, insertRows } from "../catalog/inlined.ts";
import { registerFiles } from "../catalog/data-files.ts";
import type { Change } from "../catalog/snapshot.ts";
import type { Column } from "../column.ts";
import { arrowField } from "../ingest/arrow-build.ts";
import { readArrow } from "../ingest/arrow-rows.ts";
import type { IngestFormat } from "../ingest/format.ts";
import { readRows } from "../ingest/read-rows.ts";
import { holds } from "../parquet/arrow-field.ts";
import { divideRows } from "../parquet/divide.ts";
import { sizeOf, statisticsOf, vectorsOf } from "../parquet/write.ts";
import type { LakeValue, RowBatch } from "../rows.ts";
import { BodyBytes } from "./body-bytes.ts";
import { FileOutput } from "./file-output.ts";
import {
  type BodyOutcome,
  type BodyPlace,
  childFailure,
  type Loaded,
  type LoadOrder,
  type LoadTable,
} from "./message.ts";

/** Throws what is no fault of a body: there is no room for a file, for one. */
export async function loadBodies(order: LoadOrder): Promise<Loaded> {
  const bytes = new BodyBytes();
  const together = await loadTogether(order, bytes);
  if (together !== null) return together;
  const refused = new Map<number, BodyOutcome>();
  for (;;) {
    const loading = new Loading(order, bytes, refused);
    try {
      if (await loading.readAll()) return loading.finish();
    } catch (error) {
      loading.discard();
      throw error;
    }
    loading.discard();
  }
}

/**
 * Many small bodies as one, since each costs more than its rows; null where they are not all lines of
 * JSON, or where one row does not fit: then each is read by itself.
 */
async function loadTogether(order: LoadOrder, bytes: BodyBytes): Promise<Loaded | null> {
  if (order.bodies.length < 2) return null;
  const lines = order.bodies.flatMap((body) => bytes.lines(body) ?? []);
  if (lines.length < order.bodies.length) return null;
  const loading = new Loading(order, bytes, new Map());
  try {
    if (await loading.readJoined(lines)) return loading.finish();
  } catch (error) {
    loading.discard();
    if (!isFailure(error, "invalid", "too_large")) throw error;
    return null;
  }
  loading.discard();
  return null;
}

class Loading {
  readonly #order: LoadOrder;
  readonly #bytes: BodyBytes;
  /** Bodies that do not fit; more are found on the way. */
  readonly #refused: Map<number, BodyOutcome>;
  #outcomes: BodyOutcome[] = [];
  readonly #files: FileOutput;
  /** While all may stand in the catalog; else null. */
  #small: RowBatch[] | null;
  readonly #smallVectors: (readonly Data[])[] = [];

  constructor(order: LoadOrder, bytes: BodyBytes, refused: Map<number, BodyOutcome>) {
    this.#order = order;
    this.#bytes = bytes;
    this.#refused = refused;
    const { columns } = order.table;
    this.#files = new FileOutput(columns, order.output);
    const size = order.bodies.reduce((sum, body) => sum + body.bytes, 0);
    this.#small = size <= order.inlineBytesMax && canInline(columns) ? [] : null;
  }

  /** False where a body is not as many rows as it has lines. */
  async readJoined(lines: readonly number[]): Promise<boolean> {
    const joined = this.#bytes.joined(this.#order.bodies);
    const rows = await this.#readRows(joined, "ndjson");
    this.#outcomes = lines.map((rows) => ({ rows }));
    return rows === lines.reduce((sum, rows) => sum + rows, 0);
  }

  /** False when all has to be done again, without the bodies that were refused. */
  async readAll(): Promise<boolean> {
    for (const [index, body] of this.#order.bodies.entries()) {
      const known = this.#refused.get(index);
      if (known !== undefined) {
        this.#outcomes.push(known);
        continue;
      }
      const mark = this.#files.mark();
      const smallMark = this.#small?.length ?? 0;
      try {
        this.#outcomes.push({ rows: await this.#read(body) });
      } catch (error) {
        if (!isFailure(error, "invalid", "too_large")) throw error;
        const outcome = { failure: childFailure(error) };
        this.#refused.set(index, outcome);
        this.#outcomes.push(outcome);
        // What was small before this body and is not any more is not told apart from it.
        const isSame = smallMark === 0 || this.#small !== null;
        if (!isSame || !this.#files.backTo(mark)) return false;
        this.#small?.splice(smallMark);
        this.#smallVectors.splice(smallMark);
      }
    }
    return true;
  }

  finish(): Loaded {
    const bodies = this.#outcomes;
    const change = this.#small === null ? null : this.#inlined(this.#small);
    if (change !== null) return { bodies, change, files: [] };
    const { loaded, data } = this.#files.finish();
    if (data.length === 0) return { bodies, change: null, files: [] };
    const { id: table, version, columns } = this.#order.table;
    const registered = registerFiles({ table, version, columns, files: data });
    return { bodies, change: registered, files: loaded };
  }

  discard(): void {
    this.#files.discard();
  }

  async #read(body: BodyPlace): Promise<number> {
    const { columns } = this.#order.table;
    const isArrow = body.format === "arrow" && this.#small === null;
    if (isArrow && passesThrough(columns)) return await this.#readArrow(body);
    return await this.#readRows(this.#bytes.content(body), body.format);
  }

  async #readRows(content: AsyncIterable<Uint8Array>, format: IngestFormat): Promise<number> {
    const options = { format, columns: this.#order.table.columns, batchRows: LOAD_BATCH_ROWS };
    let rows = 0;
    for await (const batch of readRows(content, options)) {
      rows += batch.rows;
      this.#add(batch);
    }
    return rows;
  }

  /** Arrow's buffers go into the file as they came. */
  async #readArrow(body: BodyPlace): Promise<number> {
    const { columns } = this.#order.table;
    let rows = 0;
    for await (const { numRows, data } of readArrow(this.#bytes.content(body), columns)) {
      const pieces = Math.max(
        Math.ceil(numRows / PARQUET_ROWS_MAX),
        Math.ceil(sizeOf(data.children) / LOAD_FILE_BYTES_MAX),
      );
      const step = Math.ceil(numRows / pieces);
      for (let from = 0; from < numRows; from += step) {
        const count = Math.min(step, numRows - from);
        this.#files.add(data.children.map((vector) => vector.slice(from, count)));
      }
      rows += numRows;
    }
    return rows;
  }

  #add(batch: RowBatch): void {
    const vectors = vectorsOf(this.#order.table.columns, batch);
    if (this.#small === null) return this.#addToFiles(batch, vectors);
    this.#small.push(batch);
    this.#smallVectors.push(vectors);
    const rows = this.#small.reduce((sum, { rows }) => sum + rows, 0);
    // A body that was compressed well is not small.
    if (rows > LOAD_BATCH_ROWS) this.#goLarge();
  }

  /** A batch of very wide rows is more than one file. */
  #addToFiles(batch: RowBatch, vectors: readonly Data[]): void {
    if (sizeOf(vectors) <= LOAD_FILE_BYTES_MAX) return this.#files.add(vectors);
    const limits = { rowsMax: LOAD_BATCH_ROWS, bytesMax: LOAD_FILE_BYTES_MAX };
    for (const part of divideRows([batch], limits).flat()) {
      this.#files.add(vectorsOf(this.#order.table.columns, part));
    }
  }

  #goLarge(): void {
    this.#small = null;
    for (const vectors of this.#smallVectors.splice(0)) this.#files.add(vectors);
  }

  /** Null where there are no rows, or they are too much text for the catalog after all. */
  #inlined(batches: readonly RowBatch[]): Change | null {
    const batch = joined(this.#order.table, batches);
    if (batch.rows === 0) return null;
    const encoded = encodeRows(batch);
    if (encoded.length > LOAD_INLINED_CHARACTERS_MAX) {
      this.#goLarge();
      return null;
    }
    const { id: table, version, columns, isOpen = false } = this.#order.table;
    const statistics = statisticsOf(columns, this.#smallVectors);
    const rows = batch.rows;
    return insertRows({ table, version, columns, rows, encoded, statistics, isOpen });
  }
}

/** Whether what is read as Arrow is what is written: int128 and seconds are other in files. */
function passesThrough(columns: readonly Column[]): boolean {
  return columns.every((column) => holds(arrowField(column).type, column));
}

function joined({ columns }: LoadTable, batches: readonly RowBatch[]): RowBatch {
  const vectors = columns.map((_, index) =>
    batches.flatMap((batch): readonly LakeValue[] => batch.vectors[index] ?? [])
  );
  return { columns, rows: batches.reduce((sum, { rows }) => sum + rows, 0), vectors };
}
