/** A request that brings rows, and what is answered. */
import type { TableName } from "./catalog/read-tables.ts";
import type { RequestKey } from "./kept-keys.ts";
import type { IngestFormat } from "./ingest/format.ts";

export interface RowsRequest {
  readonly lake: string;
  readonly table: TableName;
  /** Make the table from these rows if it is not there. */
  readonly create: boolean;
  readonly format: IngestFormat;
  /** Of the body, as the header `Content-Encoding` names it. */
  readonly encoding: string | null;
  readonly body: Uint8Array;
  readonly key?: RequestKey;
  /** When the client gives up, on the monotonic clock of this process. */
  readonly deadlineMs: number;
}

/** Durable in the bucket, and seen by every later read that waits for the epoch. */
export interface RowsAnswer {
  readonly rows: number;
  readonly snapshot: number;
  readonly epoch: number;
}
