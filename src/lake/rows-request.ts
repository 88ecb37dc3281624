/** A request that brings rows, and what is answered. */
import type { TableName } from "./catalog/read-tables.ts";
import type { RequestKey } from "./kept-keys.ts";
import type { IngestFormat } from "./ingest/format.ts";

export interface RowsRequest {
  readonly lake: string;
  readonly table: TableName;
  /** Make the table from these rows if it is not there. */
  readonly create: boolean;
  /** When to answer; "visible" where it is not given. */
  readonly ack?: RowsAck;
  readonly format: IngestFormat;
  /** Of the body, as the header `Content-Encoding` names it. */
  readonly encoding: string | null;
  readonly body: Uint8Array;
  readonly key?: RequestKey;
  /** When the client gives up, on the monotonic clock of this process. */
  readonly deadlineMs: number;
}

/** "stored": as soon as the rows are durable in the bucket, which needs no leader. */
export type RowsAck = "visible" | "stored";

/** Durable in the bucket, and seen by every later read that waits for the epoch. */
export interface RowsAnswer {
  readonly rows: number;
  readonly snapshot: number;
  readonly epoch: number;
}

/** Durable in the bucket, and registered by whoever leads, once. */
export interface StoredRows {
  readonly rows: number;
  /** The staged object. */
  readonly stored: string;
  /** Of the catalog, as this node knew it: the rows are not in it yet. */
  readonly epoch: number;
}
