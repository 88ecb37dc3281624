/**
 * Arrow's IPC stream, batch by batch: the schema's message, a message a batch, and eight bytes that
 * end it (Arrow, "Serialization and interprocess communication"). The writer makes whole streams
 * only; without dictionaries a batch's message depends on nothing before it, so it is cut out of a
 * stream of its own.
 */
import {
  Field,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
} from "apache-arrow";
import { assert } from "../../base/assert.ts";
import { LAKE_QUERY_PIECE_BYTES } from "../../base/lake-limits.ts";
import { arrowColumn } from "./arrow-column.ts";
import type { ArrowColumn } from "./arrow-flat.ts";
import type { Chunk, Piece, ResultColumn, ResultWriter } from "./result-writer.ts";

const END_BYTES = 8;

export class ArrowStream implements ResultWriter {
  readonly #columns: readonly ArrowColumn[];
  readonly #schema: Schema;
  readonly #head: Uint8Array;
  #begun = false;

  constructor(columns: readonly ResultColumn[]) {
    this.#columns = columns.map(({ type }) => arrowColumn(type));
    this.#schema = new Schema(
      columns.map(({ name }, at) => {
        const column = this.#columns[at];
        assert(column !== undefined, `column ${at} has a type`);
        return new Field(name, column.type, true);
      }),
    );
    const empty = new RecordBatchStreamWriter().reset(undefined, this.#schema).finish()
      .toUint8Array(true);
    this.#head = empty.subarray(0, empty.length - END_BYTES);
  }

  *chunk(columns: Chunk, rows: number): Iterable<Piece> {
    const type = new Struct(this.#schema.fields);
    const children = this.#columns.map((column, at) => column.data(columns[at] ?? []));
    const data = makeData({ type, length: rows, nullCount: 0, children });
    const writer = new RecordBatchStreamWriter().reset(undefined, this.#schema);
    writer.write(new RecordBatch(this.#schema, data));
    const whole = writer.finish().toUint8Array(true);
    const bytes = whole.subarray(this.#begun ? this.#head.length : 0, whole.length - END_BYTES);
    this.#begun = true;
    for (let at = 0; at < bytes.length; at += LAKE_QUERY_PIECE_BYTES) {
      yield bytes.subarray(at, at + LAKE_QUERY_PIECE_BYTES);
    }
  }

  *end(): Iterable<Piece> {
    if (!this.#begun) yield this.#head;
    yield new Uint8Array([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
  }
}
