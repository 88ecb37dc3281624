/** The columns of a result as a schema of Arrow, and its chunks as batches of it. */
import { type Data, Field, makeData, RecordBatch, Schema, Struct } from "apache-arrow";
import { assert } from "../../base/assert.ts";
import type { ArrowColumn } from "./arrow-flat.ts";
import type { Chunk, ResultColumn } from "./result-writer.ts";

export class ArrowBatches {
  readonly schema: Schema;
  readonly #columns: readonly ArrowColumn[];

  constructor(columns: readonly ResultColumn[], columnOf: (column: ResultColumn) => ArrowColumn) {
    this.#columns = columns.map(columnOf);
    this.schema = new Schema(
      columns.map(({ name }, at) => {
        const column = this.#columns[at];
        assert(column !== undefined, `column ${at} has a type`);
        return new Field(name, column.type, true);
      }),
    );
  }

  data(columns: Chunk, rows: number): Data<Struct> {
    const type = new Struct(this.schema.fields);
    const children = this.#columns.map((column, at) => column.data(columns[at] ?? []));
    return makeData({ type, length: rows, nullCount: 0, children });
  }

  /**
   * A batch gives columns of one name, which a result may have, one type; a writer or a table that
   * sees this takes it for the end, or refuses it. Its data are right, so it gets its schema back.
   */
  batch(data: Data<Struct>): RecordBatch {
    return Object.assign(new RecordBatch(this.schema, data), { schema: this.schema });
  }
}
