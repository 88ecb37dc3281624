/**
 * How a change that does not fit the catalog fails. Its first statement looks for what is wrong and
 * writes the reason into a table whose CHECK constraints refuse every reason, each by its name: the
 * whole transaction is undone, and the constraint's name travels in SQLite's message, the only thing
 * that a statement can say about its failure.
 */
import { Failure, type FailureKind, isFailure } from "../../base/failure.ts";
import type { Parameters, Statement } from "../../database/statement.ts";

export const REFUSED_TABLE = "_headgate_refused";

const REASONS = {
  schema_missing: ["missing", "there is no such schema"],
  table_missing: ["missing", "there is no such table"],
  column_missing: ["missing", "there is no such column"],
  file_missing: ["missing", "a file to replace is not one of the table's"],
  snapshot_missing: ["missing", "there is no such snapshot"],
  name_taken: ["conflict", "the name is taken"],
  schema_not_empty: ["conflict", "the schema still has tables or views"],
  columns_changed: ["conflict", "the columns of the table have changed meanwhile"],
  column_fixed: ["conflict", "the parts of a list and of a map stay as they are"],
  column_last: ["conflict", "a table and a struct keep at least one column"],
  rows_changed: ["conflict", "the files do not hold exactly the rows that they are to replace"],
  rows_deleted: ["conflict", "some of the rows to replace have been deleted"],
  files_differ: ["conflict", "the files to replace were written for different columns"],
  inlined_missing: ["conflict", "the inlined table of these columns is not there"],
  table_in_use: ["conflict", "the inlined table still has rows or takes new ones"],
  path_condemned: ["conflict", "a file is about to be deleted"],
  path_taken: ["conflict", "a file is registered already"],
  lake_differs: ["conflict", "the rows were stored for another lake of this name"],
  rows_done: ["conflict", "the stored rows are adopted, done before, or their table is gone"],
  rows_wanted: ["conflict", "the stored rows are still to be adopted"],
} as const satisfies Readonly<Record<string, readonly [FailureKind, string]>>;

export type Refusal = keyof typeof REASONS;

/** A reason, and the SQL that is true where it applies. */
export type Condition = readonly [Refusal, string];

const PREFIX = "lake_";

export function createRefusedTable(): string {
  const checks = Object.keys(REASONS).map((reason) =>
    `, CONSTRAINT ${PREFIX}${reason} CHECK (reason <> '${reason}')`
  );
  return `CREATE TABLE ${REFUSED_TABLE}(reason TEXT${checks.join("")})`;
}

/** Fails with the reason of the first condition that is true, and does nothing where none is. */
export function refuse(conditions: readonly Condition[], params: Parameters): Statement {
  const cases = conditions.map(([reason, sql]) => `WHEN ${sql} THEN '${reason}'`).join(" ");
  return {
    sql: `INSERT INTO ${REFUSED_TABLE}(reason) SELECT reason ` +
      `FROM (SELECT CASE ${cases} END AS reason) WHERE reason IS NOT NULL`,
    params,
  };
}

/** A table's id as `:table`. */
export const TABLE_IS_MISSING: Condition = [
  "table_missing",
  "NOT EXISTS (SELECT 1 FROM ducklake_table WHERE table_id = :table AND end_snapshot IS NULL)",
];

/** Its schema version as `:version`. */
export const COLUMNS_HAVE_CHANGED: Condition = [
  "columns_changed",
  "(SELECT max(schema_version) FROM ducklake_schema_versions WHERE table_id = :table) IS NOT :version",
];

/**
 * Why the statements of a change were refused, as a failure whose details hold the `refusal` and the
 * index of the statement: the statements of a snapshot begin with one for each of its changes, in
 * their order. Null when the error says something else. `action` begins the message.
 */
export function catalogFailure(error: unknown, action: string): Failure | null {
  if (!isFailure(error)) return null;
  const refusal = refusalIn(error.message);
  if (refusal === null) return null;
  const [kind, sentence] = REASONS[refusal];
  return new Failure(kind, `${action}: ${sentence}`, {
    cause: error,
    details: { ...error.details, refusal },
  });
}

function refusalIn(message: string): Refusal | null {
  const name = /CHECK constraint failed: lake_(\w+)/.exec(message)?.[1];
  if (name !== undefined) return name in REASONS ? name as Refusal : null;
  // Where a guard looks into the inlined table itself.
  return /no such table: (?:main\.)?ducklake_inlined_data_\d+_\d+/.test(message)
    ? "inlined_missing"
    : null;
}
