/**
 * A result in its format, in pieces: text grows row by row, so that neither a result nor a chunk of
 * wide rows is ever held whole; Arrow goes chunk by chunk, Parquet row group by row group.
 */
import type { DuckDBType, DuckDBValue } from "@duckdb/node-api";
import { Failure } from "../../base/failure.ts";
import { LAKE_QUERY_PIECE_BYTES, LAKE_QUERY_ROW_CHARACTERS_MAX } from "../../base/lake-limits.ts";
import { ArrowStream } from "./arrow-stream.ts";
import { csvField, csvHeader } from "./csv-field.ts";
import { type EncodeJson, jsonEncoder } from "./json-value.ts";
import type { QueryFormat } from "./lake-query.ts";
import { ParquetStream } from "./parquet-stream.ts";

export interface ResultColumn {
  readonly name: string;
  readonly type: DuckDBType;
}

/** Values of a chunk, a list a column. */
export type Chunk = readonly (readonly DuckDBValue[])[];

export type Piece = string | Uint8Array;

export interface ResultWriter {
  /** What is ready to be sent after these rows, in order. */
  chunk(columns: Chunk, rows: number): Iterable<Piece>;
  end(): Iterable<Piece>;
}

export function resultWriter(format: QueryFormat, columns: readonly ResultColumn[]): ResultWriter {
  if (format === "arrow") return new ArrowStream(columns);
  if (format === "parquet") return new ParquetStream(columns);
  const encoders = columns.map(({ type }) => format === "csv" ? csvField(type) : jsonEncoder(type));
  return new TextRows(SHAPES[format](columns), encoders);
}

/** What stands around rows and values. */
interface Shape {
  readonly begin: string;
  readonly rowBegin: string;
  readonly rowEnd: string;
  /** Between two rows. */
  readonly between: string;
  readonly end: (rows: number) => string;
}

const SHAPES: Readonly<
  Record<"json" | "ndjson" | "csv", (columns: readonly ResultColumn[]) => Shape>
> = {
  json: (columns) => ({
    begin: `{${head(columns)},"rows":[`,
    rowBegin: "[",
    rowEnd: "]",
    between: ",",
    end: () => "]}\n",
  }),
  ndjson: (columns) => ({
    begin: `{${head(columns)}}\n`,
    rowBegin: "[",
    rowEnd: "]\n",
    between: "",
    end: (rows) => `{"rows":${rows}}\n`,
  }),
  csv: (columns) => ({
    begin: csvHeader(columns.map(({ name }) => name)),
    rowBegin: "",
    rowEnd: "\r\n",
    between: "",
    end: () => "",
  }),
};

function head(columns: readonly ResultColumn[]): string {
  const names = JSON.stringify(columns.map(({ name }) => name));
  return `"columns":${names},"types":${JSON.stringify(columns.map(({ type }) => typeText(type)))}`;
}

/** As SQL writes it; JSON is a name that DuckDB gives to text. */
function typeText(type: DuckDBType): string {
  return type.alias ?? type.toString();
}

class TextRows implements ResultWriter {
  readonly #shape: Shape;
  readonly #encoders: readonly EncodeJson[];
  #text: string;
  #rows = 0;

  constructor(shape: Shape, encoders: readonly EncodeJson[]) {
    this.#shape = shape;
    this.#encoders = encoders;
    this.#text = shape.begin;
  }

  *chunk(columns: Chunk, rows: number): Iterable<Piece> {
    for (let row = 0; row < rows; row++) {
      this.#text += this.#row(columns, row);
      if (this.#text.length < LAKE_QUERY_PIECE_BYTES) continue;
      yield this.#text;
      this.#text = "";
    }
  }

  *end(): Iterable<Piece> {
    const text = this.#text + this.#shape.end(this.#rows);
    this.#text = "";
    if (text !== "") yield text;
  }

  #row(columns: Chunk, row: number): string {
    const { rowBegin, rowEnd, between } = this.#shape;
    let text = this.#rows++ === 0 ? rowBegin : between + rowBegin;
    for (let index = 0; index < this.#encoders.length; index++) {
      if (index > 0) text += ",";
      text += this.#encoders[index]?.(columns[index]?.[row] ?? null);
    }
    if (text.length > LAKE_QUERY_ROW_CHARACTERS_MAX) {
      throw new Failure(
        "too_large",
        `Cannot run this query: a row of its result has more than ${LAKE_QUERY_ROW_CHARACTERS_MAX} characters`,
      );
    }
    return text + rowEnd;
  }
}
