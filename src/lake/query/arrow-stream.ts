/**
 * Arrow's IPC stream, batch by batch: the schema's message, a message a batch, and eight bytes that
 * end it (Arrow, "Serialization and interprocess communication"). The writer makes whole streams
 * only; without dictionaries a batch's message depends on nothing before it, so it is cut out of a
 * stream of its own.
 */
import { RecordBatchStreamWriter } from "apache-arrow";
import { ArrowBatches } from "./arrow-batches.ts";
import { arrowColumn } from "./arrow-column.ts";
import { bytePieces } from "./byte-pieces.ts";
import type { Chunk, Piece, ResultColumn, ResultWriter } from "./result-writer.ts";

const END_BYTES = 8;

export class ArrowStream implements ResultWriter {
  readonly #batches: ArrowBatches;
  readonly #head: Uint8Array;
  #begun = false;

  constructor(columns: readonly ResultColumn[]) {
    this.#batches = new ArrowBatches(columns, ({ type }) => arrowColumn(type));
    const empty = new RecordBatchStreamWriter().reset(undefined, this.#batches.schema).finish()
      .toUint8Array(true);
    this.#head = empty.subarray(0, empty.length - END_BYTES);
  }

  *chunk(columns: Chunk, rows: number): Iterable<Piece> {
    const writer = new RecordBatchStreamWriter().reset(undefined, this.#batches.schema);
    writer.write(this.#batches.batch(this.#batches.data(columns, rows)));
    const whole = writer.finish().toUint8Array(true);
    const begin = this.#begun ? this.#head.length : 0;
    this.#begun = true;
    yield* bytePieces(whole.subarray(begin, whole.length - END_BYTES));
  }

  *end(): Iterable<Piece> {
    if (!this.#begun) yield this.#head;
    yield new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
  }
}
