/**
 * Rows between a request's body and where they are stored: one list of values a column, so that
 * neither an object a row nor a name a value is kept.
 */
import type { Column } from "./column.ts";

/**
 * A value by the type of its column: a boolean for `boolean`; a number for integers of at most 32
 * bits and for floats; a number within ±(2^53 − 1), else a bigint, for wider integers; a bigint,
 * the digits without the point, for `decimal`; days since 1970 for `date`; for `time` and timestamps
 * a bigint since midnight or 1970 in the type's unit (microseconds without a suffix); a string for
 * `varchar`, `json` and `uuid` (lower case with dashes); bytes for `blob`; a list of values for
 * `list`; one value a field, in the order of the children, for `struct`; pairs for `map`.
 */
export type LakeValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly LakeValue[];

export interface RowBatch {
  readonly columns: readonly Column[];
  readonly rows: number;
  /** As many as `columns`, each `rows` long. */
  readonly vectors: readonly (readonly LakeValue[])[];
}

/** Of one column without children over the rows of a file or a batch. */
export interface ColumnStatistics {
  readonly columnId: number;
  /** Nulls included. Elements of lists count one by one. */
  readonly values: number;
  readonly nulls: number;
  /** Only floats have NaN; they are no part of `min` and `max`. */
  readonly nans: boolean;
  /** Null where there is no value to compare, and for types without an order. */
  readonly min: LakeValue;
  readonly max: LakeValue;
  /** Bytes of the column in its file; 0 where there is no file. */
  readonly bytes: number;
}
