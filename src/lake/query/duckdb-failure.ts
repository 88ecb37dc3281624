/** What DuckDB says went wrong, as a failure that tells the client what to do next. */
import { describe, type FailureKind, isFailure } from "../../base/failure.ts";
import type { ChildFailure } from "./message.ts";

const ACTION = "Cannot run this query";

/** The names that DuckDB's messages begin with, where the statement is not to blame. */
const KINDS: readonly (readonly [RegExp, FailureKind, string])[] = [
  [/^Out of Memory Error/, "too_large", "memory"],
  [/^INTERRUPT Error/, "unavailable", "interrupted"],
  [/^(INTERNAL|FATAL) Error/, "unavailable", "process"],
  [/^IO Error/, "unavailable", "file"],
];

/** A file as DuckDB's messages about Parquet name it. */
const NAMED_FILE = /\bfile ['"](\d+)['"]/i;

/** `tableOf` knows the names of the query's files, and which table each is of. */
export function duckdbFailure(
  error: unknown,
  tableOf: ReadonlyMap<string, string> = new Map(),
): ChildFailure {
  if (isFailure(error)) {
    const { kind, message, details } = error;
    return { kind, message, ...(details === undefined ? {} : { details }) };
  }
  const text = describe(error);
  // What follows the first line is advice to whoever may change the settings or the files.
  const [first = ""] = text.split("\n", 1);
  const found = KINDS.find(([pattern]) => pattern.test(text));
  const table = tableOf.get(NAMED_FILE.exec(first)?.[1] ?? "");
  if (table !== undefined && (found === undefined || found[1] !== "too_large")) {
    const details = { reason: "file", table };
    return { kind: "corrupt", message: `Cannot read the table ${table}: ${first}`, details };
  }
  if (found === undefined) return { kind: "invalid", message: `${ACTION}: ${text}` };
  const [, kind, reason] = found;
  return { kind, message: `${ACTION}: ${first}`, details: { reason } };
}
