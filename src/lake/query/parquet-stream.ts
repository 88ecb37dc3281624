/**
 * A Parquet file, row group by row group. The writer makes whole files only, so each row group is
 * made as a file of its own, and the files are joined as they go out: what is held is one row group
 * and the footer, which comes last. So a file that breaks off cannot be read at all.
 */
import { type Data, type Struct, Table } from "apache-arrow";
import { Failure } from "../../base/failure.ts";
import {
  LAKE_QUERY_FOOTER_BYTES_MAX,
  LAKE_QUERY_GARBAGE_BYTES,
  LAKE_QUERY_ROW_GROUP_BYTES_MAX,
  LAKE_QUERY_ROW_GROUPS_MAX,
  PARQUET_ROW_GROUP_ROWS,
} from "../../base/lake-limits.ts";
import { encodeParquet } from "../parquet/encoder.ts";
import { JoinedParquet } from "../parquet/joined.ts";
import { dataBytes } from "../parquet/size.ts";
import { ArrowBatches } from "./arrow-batches.ts";
import { arrowColumn } from "./arrow-column.ts";
import { bytePieces } from "./byte-pieces.ts";
import { parquetFlat } from "./parquet-flat.ts";
import type { Chunk, Piece, ResultColumn, ResultWriter } from "./result-writer.ts";

export interface ParquetLimits {
  readonly groupRowsMax: number;
  readonly groupBytesMax: number;
  readonly groupsMax: number;
  readonly footerBytesMax: number;
}

const LIMITS: ParquetLimits = {
  groupRowsMax: PARQUET_ROW_GROUP_ROWS,
  groupBytesMax: LAKE_QUERY_ROW_GROUP_BYTES_MAX,
  groupsMax: LAKE_QUERY_ROW_GROUPS_MAX,
  footerBytesMax: LAKE_QUERY_FOOTER_BYTES_MAX,
};

export class ParquetStream implements ResultWriter {
  readonly #limits: ParquetLimits;
  readonly #batches: ArrowBatches;
  readonly #joined = new JoinedParquet();
  /** Of the next row group, and what they have together. */
  #group: Data<Struct>[] = [];
  #rows = 0;
  #bytes = 0;
  /** Vectors since garbage was last collected. */
  #writtenBytes = 0;

  constructor(columns: readonly ResultColumn[], limits: ParquetLimits = LIMITS) {
    this.#limits = limits;
    this.#batches = new ArrowBatches(
      columns,
      ({ name, type }) => arrowColumn(type, parquetFlat(name)),
    );
  }

  *chunk(columns: Chunk, rows: number): Iterable<Piece> {
    for (const data of this.#fitting(this.#batches.data(columns, rows))) {
      const bytes = dataBytes(data);
      if (!this.#fits(this.#rows + data.length, this.#bytes + bytes)) yield* this.#flush();
      this.#group.push(data);
      this.#rows += data.length;
      this.#bytes += bytes;
    }
  }

  *end(): Iterable<Piece> {
    if (this.#group.length > 0) yield* this.#flush();
    const rest = this.#joined.groups === 0
      ? encodeParquet(new Table(this.#batches.schema))
      : this.#joined.end();
    yield* bytePieces(rest);
  }

  #fits(rows: number, bytes: number): boolean {
    return rows <= this.#limits.groupRowsMax && bytes <= this.#limits.groupBytesMax;
  }

  /** The same rows in parts that fit one row group each. Throws `too_large` for a single row. */
  #fitting(data: Data<Struct>): readonly Data<Struct>[] {
    if (this.#fits(data.length, dataBytes(data))) return [data];
    if (data.length <= 1) {
      throw tooLarge(`a row of its result has more than ${this.#limits.groupBytesMax} bytes`);
    }
    const middle = Math.ceil(data.length / 2);
    return [data.slice(0, middle), data.slice(middle, data.length - middle)].flatMap((half) =>
      this.#fitting(half)
    );
  }

  /** Of the next row group alone. */
  #file(): Uint8Array {
    const batches = this.#group.map((data) => this.#batches.batch(data));
    this.#group = [];
    return encodeParquet(new Table(this.#batches.schema, batches));
  }

  *#flush(): Iterable<Piece> {
    const pages = this.#joined.add(this.#file());
    this.#collect(this.#bytes);
    this.#rows = 0;
    this.#bytes = 0;
    const { groupsMax, footerBytesMax } = this.#limits;
    if (this.#joined.groups > groupsMax || this.#joined.footerBytes > footerBytesMax) {
      throw tooLarge(
        `its result has more than ${groupsMax} row groups, or ${footerBytesMax} bytes of a footer`,
      );
    }
    yield* bytePieces(pages);
  }

  /**
   * The runtime counts WebAssembly's memory as living, and lets as much garbage lie before it looks
   * again: a third of the process's memory.
   */
  #collect(bytes: number): void {
    this.#writtenBytes += bytes;
    if (this.#writtenBytes < LAKE_QUERY_GARBAGE_BYTES) return;
    this.#writtenBytes = 0;
    Bun.gc(true);
  }
}

function tooLarge(why: string): Failure {
  const message =
    `Cannot run this query with an answer in Parquet: ${why}; ask for Arrow, NDJSON, ` +
    "CSV or JSON, or for less";
  return new Failure("too_large", message, { details: { reason: "result" } });
}
