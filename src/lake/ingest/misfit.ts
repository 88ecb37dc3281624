/** A value that does not fit its column, and the failure that its request gets for it. */
import { Failure, type FailureKind } from "../../base/failure.ts";
import { shown } from "../../base/shown.ts";

/** Thrown by what reads values; it knows the column, its reader the row. */
export class Misfit extends Error {
  override readonly name = "Misfit";
  /** Dotted for nested columns; null when no column is to blame. */
  readonly column: string | null;

  constructor(column: string | null, reason: string) {
    super(reason);
    this.column = column;
  }
}

/** A value that is none of those allowed. */
export function misfit(column: string, found: unknown, allowed: string): Misfit {
  return new Misfit(
    column,
    `column ${JSON.stringify(column)} is ${shown(found)}; allowed: ${allowed}`,
  );
}

/** The failure of a whole request by one row, counted from 1. Rethrows what is no misfit. */
export function rowFailure(row: number, error: unknown): Failure {
  if (!(error instanceof Misfit)) throw error;
  return rowFault(row, error.message, "invalid", error.column);
}

export function rowFault(
  row: number,
  reason: string,
  kind: FailureKind = "invalid",
  column: string | null = null,
): Failure {
  const details = column === null ? { row } : { row, column };
  return new Failure(kind, `Cannot take row ${row}: ${reason}`, { details });
}
