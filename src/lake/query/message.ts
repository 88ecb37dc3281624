/**
 * What a query's child and its parent say to each other. A child has one query at a time. Pieces of
 * the result go only as far ahead of their reader as `LAKE_QUERY_PIECES_AHEAD_MAX`: IPC itself has
 * no back-pressure.
 */
import type { FailureKind } from "../../base/failure.ts";
import type { Parameters } from "../../database/statement.ts";
import type { QueryFormat, QueryTable, TableName } from "./lake-query.ts";

export type ToQueryChild =
  /** First and once: the child's own folder, and the file of DuckDB's binding (null: as installed). */
  | readonly ["open", folder: string, binding: string | null]
  | readonly ["run", number: number, order: QueryOrder]
  | readonly ["inspect", number: number, sql: string]
  /** A piece was read. */
  | readonly ["taken"]
  /** Ends the query soon; the parent says to its client why. */
  | readonly ["interrupt", number: number];

/** Every answer carries the number of its query: one that was given up may still be talking. */
export type FromQueryChild =
  /** The text of a piece, or its bytes as base64. Rows are never split over two. */
  | readonly ["text", number: number, text: string]
  | readonly ["bytes", number: number, base64: string]
  | readonly ["done", number: number]
  | readonly ["tables", number: number, tables: readonly TableName[] | null]
  | readonly ["failure", number: number, failure: ChildFailure];

export interface QueryOrder {
  readonly sql: string;
  readonly params: Parameters;
  readonly tables: readonly OrderedTable[];
  readonly format: QueryFormat;
  /** Of DuckDB alone. */
  readonly memoryBytesMax: number;
  readonly threads: number;
  readonly resultBytesMax: number;
}

/** Maps do not survive JSON. */
export type OrderedTable = Omit<QueryTable, "initialDefaults"> & {
  readonly initialDefaults: Readonly<Record<string, string>>;
};

export interface ChildFailure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}
