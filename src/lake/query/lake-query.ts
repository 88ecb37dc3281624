/** A query over a lake, in the words of its caller: what runs it is `queries.ts`. */
import type { Parameters } from "../../database/statement.ts";
import type { Column } from "../column.ts";

export type QueryFormat = "json" | "ndjson" | "csv" | "arrow" | "parquet";

export interface LakeQuery {
  readonly sql: string;
  readonly params?: Parameters;
  /** All tables of the lake. The statement can read these and nothing else. */
  readonly tables: readonly QueryTable[];
  readonly format: QueryFormat;
  /** When the client gives up, on the monotonic clock of this process. Reading the answer counts. */
  readonly deadlineMs: number;
  /** The client went away. Ends the query, also one that waits. */
  readonly signal?: AbortSignal;
}

export interface QueryTable {
  readonly schema: string;
  readonly name: string;
  /** As they are now. Files are read by the columns' ids, whatever the names were then. */
  readonly columns: readonly Column[];
  /** None for a table that is empty, or that the statement does not read (`LakeQueries.inspect`). */
  readonly files: readonly QueryFile[];
  /** Local path of a Parquet file with the inlined rows. */
  readonly inlined?: string;
  /**
   * By a column's id: what it is in rows of files that were written before it was added, as text
   * (`initial_default` in DuckLake's catalog). Null where there is none.
   */
  readonly initialDefaults?: ReadonlyMap<number, string>;
}

export interface QueryFile {
  /** Of a local Parquet file, absolute. Stays until the query has ended. */
  readonly path: string;
  /** Local path of a Parquet file whose column `pos` has the positions of deleted rows, from 0. */
  readonly deletions?: string;
  /** Only rows that were there in this snapshot: the file has them of later ones too. */
  readonly upToSnapshot?: number;
}

export interface LakeAnswer {
  readonly contentType: string;
  /**
   * To be read to its end, or returned from early: it holds one of few children. Throws what ended
   * the query; with NDJSON that is the last line instead.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

/** A table as a statement names it. */
export interface TableName {
  /** Null where the statement leaves it out. */
  readonly schema: string | null;
  readonly name: string;
}
