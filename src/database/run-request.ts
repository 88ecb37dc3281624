/**
 * Runs one request inside the batch's transaction, in its own savepoint (PROTOCOL section 4). A
 * failing request leaves nothing behind: no row, no temporary object, no counter that the next one
 * could see, no answer for its idempotency key.
 */
import type { Database, Statement as SqlStatement } from "bun:sqlite";
import { Failure } from "../base/failure.ts";
import { KEPT_ANSWER_BYTES_MAX, RESULT_BYTES_MAX } from "../base/limits.ts";
import { checkExpected } from "./expected.ts";
import { fingerprint } from "./fingerprint.ts";
import { REQUESTS_TABLE } from "./machinery.ts";
import { resultText, resultTooLarge, StatementRunner } from "./run-statement.ts";
import { sqlFailure, sqliteCode } from "./sql-error.ts";
import type { Statement, WriteRequest } from "./statement.ts";
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

export class RequestRunner {
  readonly #database: Database;
  readonly #runner: StatementRunner;
  readonly #savepoint: SqlStatement;
  readonly #release: SqlStatement;
  readonly #rollback: SqlStatement;
  readonly #findAnswer: SqlStatement;
  readonly #keepAnswer: SqlStatement;
  readonly #forgetAnswer: SqlStatement;
  /** The last request kept its answer. */
  #hasKept = false;

  /** `database` has its machinery tables and is in no transaction. */
  constructor(database: Database) {
    this.#database = database;
    this.#runner = new StatementRunner(database);
    this.#savepoint = database.prepare("SAVEPOINT request");
    this.#release = database.prepare("RELEASE request");
    this.#rollback = database.prepare("ROLLBACK TO request");
    this.#findAnswer = database.prepare(
      `SELECT hash, answer FROM main.${REQUESTS_TABLE} WHERE subject = ? AND key = ?`,
    );
    this.#keepAnswer = database.prepare(
      `INSERT INTO main.${REQUESTS_TABLE}(subject, key, hash, answer, epoch, at) VALUES (?, ?, ?, ?, ?, ?)`,
    );
    this.#forgetAnswer = database.prepare(
      `DELETE FROM main.${REQUESTS_TABLE} WHERE subject = ? AND key = ?`,
    );
  }

  /** Whether the last request ran a statement that may have changed the database. */
  get hasWritten(): boolean {
    return this.#hasKept || this.#runner.hasWritten;
  }

  /** True when the schema has constraints that are checked only at COMMIT. */
  get mayDefer(): boolean {
    return this.#runner.mayDefer;
  }

  /** After a rollback that may have taken back a change of the schema. */
  forgetStatements(): void {
    this.#runner.forgetStatements();
  }

  /**
   * The database must be in a transaction. Afterwards it may be in none: the request ended it, and
   * the whole batch has to run again.
   */
  run(request: WriteRequest, context: RunContext): RequestOutcome {
    this.#hasKept = false;
    this.#runner.begin(false);
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
      if (this.#runner.schemaTouched) this.#runner.forgetStatements();
      if (error instanceof StatementError) {
        return { kind: "failed", failure: error.failure, isFull: error.isFull };
      }
      return { kind: "failed", failure: sqlFailure(error, "The request failed"), isFull: false };
    }
  }

  #execute(request: WriteRequest): { kind: "done"; result: string } {
    const { statements } = request;
    this.#runner.begin(
      statements.some(({ expect }) => expect !== undefined) ||
        this.#runner.mayReadRowCounters(statements),
    );
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
    this.#hasKept = true;
    for (const done of request.forgets ?? []) this.#forgetAnswer.run(subject, done);
    this.#keepAnswer.run(subject, key, hash, kept, epoch, Math.floor(nowMs));
    return outcome;
  }

  /** Runs one statement and answers its JSON; null where the caller knows it already. */
  #statement(statement: Statement, { trusted = false }: WriteRequest): string {
    const text = resultText(this.#runner.run(statement, trusted));
    if (statement.expect === undefined) return text;
    checkExpected(statement.expect, text);
    return "null";
  }
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
