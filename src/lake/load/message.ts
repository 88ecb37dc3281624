/**
 * What the node and a loader process say to each other. Bodies come in a file, which is read and not
 * changed; what is to be uploaded goes into new files; all else is JSON.
 */
import type { Failure, FailureKind } from "../../base/failure.ts";
import type { Change } from "../catalog/snapshot.ts";
import type { StatisticsRow } from "../catalog/statistics.ts";
import type { Column, ColumnWish } from "../column.ts";
import type { IngestFormat } from "../ingest/format.ts";

/** Where a request's body is. */
export interface BodyPlace {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
  readonly format: IngestFormat;
  readonly encoding: string | null;
}

/** The table that rows are for, as the node knows it. */
export interface LoadTable {
  readonly id: number;
  readonly version: number;
  readonly columns: readonly Column[];
  /** Its inlined table is known to be there. */
  readonly isOpen?: boolean;
}

export interface LoadOrder {
  readonly table: LoadTable;
  /** Each is stored as a whole or not at all. */
  readonly bodies: readonly BodyPlace[];
  /** Rows of bodies that are smaller together go into the catalog, all others into files. */
  readonly inlineBytesMax: number;
  readonly output: Output;
}

/** Rows of an inlined table, as `readInlined` asks for them, into files. */
export interface PackOrder {
  /** A file with the JSON of the query's answer. */
  readonly source: string;
  readonly table: LoadTable;
  /** Set for a flush: then the files have DuckLake's columns for row ids and snapshots too. */
  readonly upToSnapshot?: number;
  readonly output: Output;
}

/** Data files of one table that become one. */
export interface MergeOrder {
  /** With the columns of the files' version. */
  readonly table: LoadTable;
  readonly files: readonly MergeSourceFile[];
  readonly output: Output;
}

export interface MergeSourceFile {
  readonly id: number;
  /** Of a copy here. */
  readonly path: string;
  readonly rows: number;
  /** Of rows that do not say what their ids are. */
  readonly firstRowId: number;
  /** The snapshot that inserted all rows, where they do not say it. */
  readonly beginSnapshot: number;
  /** They have to say it. */
  readonly isPartial: boolean;
}

export interface Output {
  /** New files have this path, a dash and a number. */
  readonly path: string;
  /** The names of their objects likewise, behind the lake's data path. */
  readonly name: string;
}

export interface LoadedFile {
  readonly path: string;
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  readonly footerBytes: number;
  /** As a catalog keeps them. */
  readonly statistics: readonly StatisticsRow[];
}

export interface ChildFailure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export type BodyOutcome = { readonly rows: number } | { readonly failure: ChildFailure };

export interface Loaded {
  /** One a body, in their order. */
  readonly bodies: readonly BodyOutcome[];
  /** Null when there is not one row. */
  readonly change: Change | null;
  /** To be in the store before the change is made. */
  readonly files: readonly LoadedFile[];
}

export interface Packed {
  readonly rows: number;
  /** Of a flush. */
  readonly change: Change | null;
  readonly files: readonly LoadedFile[];
}

export interface Merged {
  /** Id and size as vectors, in bytes, of each file that was read. */
  readonly sizes: readonly (readonly [id: number, bytes: number])[];
  /** Ids of the files that were merged: the first ones of the order, but for what cannot be. */
  readonly replaced: readonly number[];
  /** Null where there was no room for two of them. */
  readonly change: Change | null;
  readonly files: readonly LoadedFile[];
}

export type ToLoader =
  | readonly ["load", number: number, order: LoadOrder]
  | readonly ["infer", number: number, body: BodyPlace]
  | readonly ["pack", number: number, order: PackOrder]
  | readonly ["merge", number: number, order: MergeOrder];

/** Every answer carries the number of its order: one that was given up may still be talking. */
export type FromLoader =
  | readonly ["loaded", number: number, loaded: Loaded]
  | readonly ["inferred", number: number, columns: readonly ColumnWish[]]
  | readonly ["packed", number: number, packed: Packed]
  | readonly ["merged", number: number, merged: Merged]
  | readonly ["failure", number: number, failure: ChildFailure];

export function childFailure({ kind, message, details }: Failure): ChildFailure {
  return { kind, message, ...(details === undefined ? {} : { details }) };
}
