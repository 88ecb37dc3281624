/**
 * Runs one request inside the batch's transaction, in its own savepoint (PROTOCOL section 4). A
 * failing request leaves nothing behind: no row, no temporary object, no counter that the next one
 * could see, no answer for its idempotency key.
 */
import type { Database, Statement as SqlStatement } from "bun:sqlite";
import { Failure } from "../base/failure.ts";
import { KEPT_ANSWER_BYTES_MAX, RESULT_BYTES_MAX } from "../base/limits.ts";
import { fingerprint } from "./fingerprint.ts";
import { REQUESTS_TABLE } from "./machinery.ts";
import { bind } from "./parameters.ts";
import { type Prepared, PreparedStatements } from "./prepared.ts";
import { sqlFailure, sqliteCode } from "./sql-error.ts";
import type { Statement, WriteRequest } from "./statement.ts";
import { encodeColumns, encodeRow, type SqlValue } from "./value.ts";
import type { AnswerFailure } from "./workspace.ts";

export type RequestOutcome =
  /** `"results":[…]` */
  | { readonly kind: "done"; readonly result: string }
  /** The complete answer that the key's first request got. */
  | { readonly kind: "replayed"; readonly answer: string }
  | {
    readonly kind: "failed";
    readonly failure: AnswerFailure;
    /** It met a limit that its batch shares: alone it may succeed. */
    readonly isFull: boolean;
  };

export interface RunContext {
  /** The number that the open batch's epoch will have. */
  readonly epoch: number;
  readonly nowMs: number;
}

/** An attached database of one table, whose only purpose is to set the row counters. */
const COUNTERS = "_headgate_counters";

export class RequestRunner {
  readonly #database: Database;
  readonly #prepared: PreparedStatements;
  readonly #savepoint: SqlStatement;
  readonly #release: SqlStatement;
  readonly #rollback: SqlStatement;
  readonly #temporary: SqlStatement;
  readonly #counters: SqlStatement;
  readonly #resetInsertId: SqlStatement;
  readonly #resetChanges: SqlStatement;
  readonly #findAnswer: SqlStatement;
  readonly #keepAnswer: SqlStatement;
  /** Of the request that is running. */
  #schemaTouched = false;
  #readsCounters = false;
  #hasWritten = false;

  /** `database` has its machinery tables and is in no transaction. */
  constructor(database: Database) {
    this.#database = database;
    this.#prepared = new PreparedStatements(database);
    database.run(`ATTACH ':memory:' AS ${COUNTERS}`);
    database.run(`CREATE TABLE ${COUNTERS}.${COUNTERS}(id INTEGER PRIMARY KEY)`);
    this.#savepoint = database.prepare("SAVEPOINT request");
    this.#release = database.prepare("RELEASE request");
    this.#rollback = database.prepare("ROLLBACK TO request");
    this.#temporary = database.prepare("SELECT name FROM temp.sqlite_schema LIMIT 1");
    this.#counters = database.prepare("SELECT changes(), last_insert_rowid()");
    this.#resetInsertId = database.prepare(
      `INSERT OR REPLACE INTO ${COUNTERS}.${COUNTERS} VALUES (0)`,
    );
    this.#resetChanges = database.prepare(`DELETE FROM ${COUNTERS}.${COUNTERS} WHERE 0`);
    this.#findAnswer = database.prepare(
      `SELECT hash, answer FROM main.${REQUESTS_TABLE} WHERE subject = ? AND key = ?`,
    );
    this.#keepAnswer = database.prepare(
      `INSERT INTO main.${REQUESTS_TABLE}(subject, key, hash, answer, epoch, at) VALUES (?, ?, ?, ?, ?, ?)`,
    );
  }

  /** Whether the last request ran a statement that may have changed the database. */
  get hasWritten(): boolean {
    return this.#hasWritten;
  }

  /** True when the schema has constraints that are checked only at COMMIT. */
  get mayDefer(): boolean {
    return this.#prepared.mayDefer();
  }

  /** After a rollback that may have taken back a change of the schema. */
  forgetStatements(): void {
    this.#prepared.forget();
  }

  /**
   * The database must be in a transaction. Afterwards it may be in none: the request ended it, and
   * the whole batch has to run again.
   */
  run(request: WriteRequest, context: RunContext): RequestOutcome {
    this.#hasWritten = false;
    this.#savepoint.run();
    try {
      const outcome = request.idempotencyKey === undefined
        ? this.#execute(request)
        : this.#executeOnce(request, request.idempotencyKey, context);
      this.#release.run();
      return outcome;
    } catch (error) {
      if (this.#database.inTransaction) {
        this.#rollback.run();
        this.#release.run();
      }
      if (this.#schemaTouched) this.#prepared.forget();
      if (error instanceof StatementError) {
        return { kind: "failed", failure: error.failure, isFull: error.isFull };
      }
      return { kind: "failed", failure: sqlFailure(error, "The request failed"), isFull: false };
    }
  }

  #execute(request: WriteRequest): { kind: "done"; result: string } {
    const { statements } = request;
    this.#schemaTouched = false;
    this.#readsCounters = this.#prepared.mayReadRowCounters(statements);
    if (this.#readsCounters) this.#resetRowCounters();
    let results = "";
    for (let index = 0; index < statements.length; index++) {
      const statement = statements[index];
      if (statement === undefined) continue;
      try {
        results += (index === 0 ? "" : ",") + this.#statement(statement, request);
        if (results.length > RESULT_BYTES_MAX) throw resultTooLarge();
      } catch (error) {
        throw new StatementError(error, index);
      }
    }
    return { kind: "done", result: `"results":[${results}]` };
  }

  #executeOnce(request: WriteRequest, key: string, context: RunContext): RequestOutcome {
    const { subject } = request;
    const hash = fingerprint(request.statements);
    const found = this.#findAnswer.values(subject, key)[0];
    if (found !== undefined) {
      const [keptHash, answer] = found;
      if (keptHash instanceof Uint8Array && Buffer.compare(keptHash, hash) === 0) {
        return { kind: "replayed", answer: String(answer) };
      }
      throw new Failure(
        "conflict",
        `Cannot execute with the idempotency key ${JSON.stringify(key)}: ` +
          "it was used for a request with other statements or parameters",
      );
    }
    const outcome = this.#execute(request);
    const { epoch, nowMs } = context;
    const answer = `{${outcome.result},"epoch":${epoch}}`;
    const kept = Buffer.byteLength(answer) <= KEPT_ANSWER_BYTES_MAX
      ? answer
      : `{"results":null,"done_at_epoch":${epoch},"epoch":${epoch}}`;
    this.#hasWritten = true;
    this.#keepAnswer.run(subject, key, hash, kept, epoch, Math.floor(nowMs));
    return outcome;
  }

  /** Runs one statement and answers its JSON. */
  #statement({ sql, params }: Statement, { trusted = false }: WriteRequest): string {
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

  #step(prepared: Prepared, { statement }: Prepared, values: SqlValue[]): string {
    const { checked, insertId, columns } = prepared;
    if (insertId === "upsert" && !this.#readsCounters) this.#resetRowCounters();
    if (columns !== null) {
      const rows = encodeRows(statement.values(...values) as SqlValue[][]);
      const [changes, id] = checked.reads ? [0n, 0n] : this.#counters.values()[0] ?? [];
      return `{"rows_affected":${checked.reads ? 0 : changes},"last_insert_id":${
        lastInsertId(insertId, Number(changes), id)
      },"columns":${encodeColumns(columns)},"rows":${rows}}`;
    }
    const { changes, lastInsertRowid } = statement.run(...values);
    const rowsAffected = prepared.isPlain ? changes : 0;
    return `{"rows_affected":${rowsAffected},"last_insert_id":${
      lastInsertId(insertId, rowsAffected, lastInsertRowid)
    }}`;
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

/** An upsert that only updated leaves the counter at the 0 that it was set to. */
function lastInsertId(insertId: Prepared["insertId"], changes: number, id: unknown): string {
  if (insertId === "none" || changes === 0) return "null";
  const value = BigInt(id as bigint | number);
  if (insertId === "upsert" && value === 0n) return "null";
  return value >= -9007199254740991n && value <= 9007199254740991n
    ? String(value)
    : `{"integer":"${value}"}`;
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

function resultTooLarge(): Failure {
  return new Failure("too_large", `the result is larger than ${RESULT_BYTES_MAX} bytes`);
}

/** Names the statement that failed, counted from 1 as people count. */
class StatementError extends Error {
  readonly failure: AnswerFailure;
  readonly isFull: boolean;

  constructor(cause: unknown, index: number) {
    super("a statement failed", { cause });
    this.failure = sqlFailure(cause, `Statement ${index + 1} failed`, { statement: index });
    this.isFull = sqliteCode(cause) === "SQLITE_FULL";
  }
}
