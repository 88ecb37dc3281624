/** A question to a catalog: its SQL, and what the rows of the answer mean. */
import { Failure } from "../../base/failure.ts";
import type { JsonValue, Parameters } from "../../database/statement.ts";
import type { SqlValue } from "../../database/value.ts";

/** As SQLite gives it, or as it stands in the JSON of an answer. */
export type Cell = SqlValue | JsonValue;
export type Row = readonly Cell[];

export interface CatalogQuery<Answer> {
  readonly sql: string;
  readonly params: Parameters;
  /** Throws `corrupt` where a value is not what the catalog should hold. */
  readonly decode: (rows: readonly Row[]) => Answer;
}

/** The rows of a query's answer, as databases give it. */
export function parseAnswer(answer: string): readonly Row[] {
  const { rows } = JSON.parse(answer) as { readonly rows: readonly Row[] };
  return rows;
}

/** The newest snapshot where none is named. */
export type SnapshotChoice = number | null;

/** SQL for the snapshot that `:snapshot` chooses. */
export const CHOSEN = "coalesce(:snapshot, (SELECT max(snapshot_id) FROM ducklake_snapshot))";

/** SQL that is true where a row is there in the chosen snapshot. */
export function seen(row: string): string {
  return `${row}.begin_snapshot <= ${CHOSEN} AND ` +
    `(${row}.end_snapshot IS NULL OR ${row}.end_snapshot > ${CHOSEN})`;
}

export function wide(cell: Cell | undefined): bigint {
  if (typeof cell === "bigint") return cell;
  if (typeof cell === "number" && Number.isInteger(cell)) return BigInt(cell);
  if (typeof cell === "boolean") return cell ? 1n : 0n;
  if (isTagged(cell) && "integer" in cell) return BigInt(cell.integer);
  throw wrong(cell, "an integer");
}

export function whole(cell: Cell | undefined): number {
  const value = Number(wide(cell));
  if (Number.isSafeInteger(value)) return value;
  throw wrong(cell, "an integer within 2^53");
}

export function wholeOrNull(cell: Cell | undefined): number | null {
  return cell === null ? null : whole(cell);
}

export function text(cell: Cell | undefined): string {
  if (typeof cell === "string") return cell;
  throw wrong(cell, "a text");
}

export function textOrNull(cell: Cell | undefined): string | null {
  return cell === null ? null : text(cell);
}

export function flagOrNull(cell: Cell | undefined): boolean | null {
  return cell === null ? null : wide(cell) !== 0n;
}

export function bytes(cell: Cell | undefined): Uint8Array {
  if (cell instanceof Uint8Array) return cell;
  if (isTagged(cell) && "base64" in cell) return Uint8Array.fromBase64(cell.base64);
  throw wrong(cell, "a blob");
}

function isTagged(
  cell: Cell | undefined,
): cell is Exclude<JsonValue, null | string | number | boolean> {
  return typeof cell === "object" && cell !== null && !(cell instanceof Uint8Array);
}

function wrong(cell: Cell | undefined, what: string): Failure {
  const found = typeof cell === "bigint" ? `${cell}` : JSON.stringify(cell) ?? "nothing";
  return new Failure(
    "corrupt",
    `Cannot read the catalog: found ${found.slice(0, 60)} in place of ${what}`,
  );
}
