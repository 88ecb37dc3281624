/**
 * Runs single statements on one connection: at the owner those of a request, in a program's own
 * process those of a transaction that is rehearsed. Both are this code, so that the same statement on
 * the same content has the same result.
 */
import type { Database, Statement as SqlStatement } from "bun:sqlite";
import { Failure } from "../base/failure.ts";
import { RESULT_BYTES_MAX } from "../base/limits.ts";
import { bind } from "./parameters.ts";
import { type Prepared, PreparedStatements } from "./prepared.ts";
import type { Statement } from "./statement.ts";
import { encodeColumns, encodeRow, type SqlValue } from "./value.ts";

export interface StatementResult {
  readonly changes: number | bigint;
  /** Null unless it inserted. */
  readonly lastInsertId: bigint | null;
  /** Null when it gives no rows. */
  readonly columns: readonly string[] | null;
  readonly rows: readonly SqlValue[][];
}

/** An attached database of one table, whose only purpose is to set the row counters. */
const COUNTERS = "_headgate_counters";

export class StatementRunner {
  readonly #prepared: PreparedStatements;
  readonly #temporary: SqlStatement;
  readonly #counters: SqlStatement;
  readonly #resetInsertId: SqlStatement;
  readonly #resetChanges: SqlStatement;
  /** Of the request that is running. */
  #schemaTouched = false;
  #readsCounters = false;
  #hasWritten = false;

  /** `database` is in no transaction, and its integers are safe. */
  constructor(database: Database) {
    this.#prepared = new PreparedStatements(database);
    database.run(`ATTACH ':memory:' AS ${COUNTERS}`);
    database.run(`CREATE TABLE ${COUNTERS}.${COUNTERS}(id INTEGER PRIMARY KEY)`);
    this.#temporary = database.prepare("SELECT name FROM temp.sqlite_schema LIMIT 1");
    this.#counters = database.prepare("SELECT changes(), last_insert_rowid()");
    this.#resetInsertId = database.prepare(
      `INSERT OR REPLACE INTO ${COUNTERS}.${COUNTERS} VALUES (0)`,
    );
    this.#resetChanges = database.prepare(`DELETE FROM ${COUNTERS}.${COUNTERS} WHERE 0`);
  }

  /** Whether a statement since `begin` may have changed the database. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** Whether a statement since `begin` may have changed the schema. */
  get schemaTouched(): boolean {
    return this.#schemaTouched;
  }

  /** True when the schema has constraints that are checked only at COMMIT. */
  get mayDefer(): boolean {
    return this.#prepared.mayDefer();
  }

  /** True when one of these statements, or the schema, may read the row counters. */
  mayReadRowCounters(statements: readonly Statement[]): boolean {
    return this.#prepared.mayReadRowCounters(statements);
  }

  /** The schema may be another one. */
  forgetStatements(): void {
    this.#prepared.forget();
  }

  /**
   * What follows is another request. One that reads the row counters finds them as on a new
   * connection, and as SQLite leaves them from then on.
   */
  begin(readsCounters: boolean): void {
    this.#schemaTouched = false;
    this.#hasWritten = false;
    this.#readsCounters = readsCounters;
    if (readsCounters) this.#resetRowCounters();
  }

  /** Throws what SQLite throws, or a `Failure`. */
  run({ sql, params }: Statement, trusted: boolean): StatementResult {
    const prepared = this.#prepared.get(sql, trusted);
    if (!prepared.isPlain) this.#schemaTouched = true;
    if (!prepared.checked.reads) this.#hasWritten = true;
    let stepped = prepared;
    try {
      const bound = bind(prepared.checked, params);
      if (bound.sql !== sql) stepped = this.#prepared.get(bound.sql, trusted);
      const result = this.#step(prepared, stepped, bound.values);
      if (!prepared.isPlain) this.#refuseTemporary();
      return result;
    } finally {
      if (stepped !== prepared) this.#prepared.release(stepped);
      this.#prepared.release(prepared);
    }
  }

  #step(prepared: Prepared, { statement }: Prepared, values: SqlValue[]): StatementResult {
    const { checked, insertId, columns } = prepared;
    if (insertId === "upsert" && !this.#readsCounters) this.#resetRowCounters();
    if (columns !== null) {
      const rows = statement.values(...values) as SqlValue[][];
      if (checked.reads) return { changes: 0, lastInsertId: null, columns, rows };
      const [changes, id] = this.#counters.values()[0] ?? [];
      const lastInsertId = lastInsertIdOf(insertId, Number(changes), id);
      return { changes: changes as bigint, lastInsertId, columns, rows };
    }
    const { changes, lastInsertRowid } = statement.run(...values);
    const rowsAffected = prepared.isPlain ? changes : 0;
    const lastInsertId = lastInsertIdOf(insertId, rowsAffected, lastInsertRowid);
    return { changes: rowsAffected, lastInsertId, columns: null, rows: NO_ROWS };
  }

  #resetRowCounters(): void {
    this.#resetInsertId.run();
    this.#resetChanges.run();
  }

  #refuseTemporary(): void {
    const name = this.#temporary.values()[0]?.[0];
    if (name === undefined) return;
    throw new Failure("invalid", `temporary objects are not allowed, and ${name} is one`);
  }
}

const NO_ROWS: readonly SqlValue[][] = [];

/** `{"rows_affected":…,"last_insert_id":…}`, with `columns` and `rows` where there are any. */
export function resultText({ changes, lastInsertId, columns, rows }: StatementResult): string {
  const start = `{"rows_affected":${changes},"last_insert_id":${insertIdText(lastInsertId)}`;
  if (columns === null) return `${start}}`;
  return `${start},"columns":${encodeColumns(columns)},"rows":${encodeRows(rows)}}`;
}

/** An upsert that only updated leaves the counter at the 0 that it was set to. */
function lastInsertIdOf(
  insertId: Prepared["insertId"],
  changes: number,
  id: unknown,
): bigint | null {
  if (insertId === "none" || changes === 0) return null;
  const value = BigInt(id as bigint | number);
  return insertId === "upsert" && value === 0n ? null : value;
}

function insertIdText(id: bigint | null): string {
  if (id === null) return "null";
  return id >= -9007199254740991n && id <= 9007199254740991n ? `${id}` : `{"integer":"${id}"}`;
}

function encodeRows(rows: readonly SqlValue[][]): string {
  let text = "[";
  let first = true;
  for (const row of rows) {
    text += first ? encodeRow(row) : `,${encodeRow(row)}`;
    first = false;
    if (text.length > RESULT_BYTES_MAX) throw resultTooLarge();
  }
  return text + "]";
}

export function resultTooLarge(): Failure {
  return new Failure("too_large", `the result is larger than ${RESULT_BYTES_MAX} bytes`);
}
