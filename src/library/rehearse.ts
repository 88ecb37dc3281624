/**
 * One attempt of a transaction in this process: the function runs against the image, and what it
 * does and sees is written down, to be done again at the owner (docs/decisions, "transactions in
 * process").
 */
import { Failure } from "../base/failure.ts";
import { BODY_BYTES_MAX, STATEMENTS_MAX } from "../base/limits.ts";
import { expectationOf, EXPECTS_FAILURE, EXPECTS_NOTHING } from "../database/expected.ts";
import type { Rehearsal } from "../database/image.ts";
import { checkStatement } from "../database/rules.ts";
import { resultText, type StatementResult } from "../database/run-statement.ts";
import { sqlFailure, toFailure } from "../database/sql-error.ts";
import type { Statement } from "../database/statement.ts";
import { type Ran, type TransactionHandle, transactionHandle } from "./sqlite.ts";

export type Rehearsed<T> =
  | { readonly end: "returned"; readonly value: T; readonly statements: readonly Statement[] }
  /** It gave up, and what it saw is to be held against the owner's before anybody hears of it. */
  | { readonly end: "threw"; readonly error: unknown; readonly statements: readonly Statement[] }
  /** The program may not do that, whatever the database holds. */
  | { readonly end: "refused"; readonly error: unknown };

/** Never throws. */
export function rehearse<T>(
  rehearsal: Rehearsal,
  work: (database: TransactionHandle) => T,
): Rehearsed<T> {
  const transcript = new Transcript(rehearsal);
  try {
    const value = work(transactionHandle((statement) => transcript.execute(statement)));
    if (isPromise(value)) transcript.refuse(asynchronous("transaction"));
    if (transcript.failure === null) {
      return { end: "returned", value, statements: transcript.end() };
    }
    // A statement failed, and the function went on: it can do nothing about that.
    return gaveUp(transcript, transcript.failure);
  } catch (error) {
    return gaveUp(transcript, error);
  }
}

function gaveUp(transcript: Transcript, error: unknown): Rehearsed<never> {
  if (transcript.refusal !== null) return { end: "refused", error: transcript.refusal };
  return { end: "threw", error, statements: transcript.endInVain() };
}

/** For a function that is to be done when it returns. */
export function asynchronous(what: string): Failure {
  return new Failure("invalid", `The function of a ${what} must not return a promise`);
}

export function isPromise(value: unknown): boolean {
  return typeof Object(value).then === "function";
}

interface Entry {
  readonly statement: Statement;
  /** Null where it failed. */
  readonly result: StatementResult | null;
  expect: string | null;
}

class Transcript {
  readonly #rehearsal: Rehearsal;
  readonly #entries: Entry[] = [];
  #characters = 0;
  #isOver = false;
  /** The statement that failed; none is run after it. */
  failure: Failure | null = null;
  refusal: Failure | null = null;

  constructor(rehearsal: Rehearsal) {
    this.#rehearsal = rehearsal;
  }

  execute(statement: Statement): Ran {
    const failed = this.refusal ?? this.failure;
    if (failed !== null) throw failed;
    this.#check(statement);
    const entry = this.#run(statement);
    return { see: () => this.#see(entry) };
  }

  refuse(failure: Failure): never {
    this.refusal ??= failure;
    throw failure;
  }

  end(): readonly Statement[] {
    this.#isOver = true;
    return this.#entries.map(({ statement, expect }) =>
      expect === null ? statement : { ...statement, expect }
    );
  }

  /** The same, but at its end the owner must take everything back. */
  endInVain(): readonly Statement[] {
    const statements = this.end();
    if (this.failure !== null || statements.length === 0) return statements;
    return [...statements, { sql: "SELECT 1", expect: EXPECTS_NOTHING }];
  }

  #check({ sql, params }: Statement): void {
    if (this.#isOver) throw new Failure("invalid", "The transaction of this handle is over");
    this.#characters += sql.length + JSON.stringify(params ?? null).length;
    try {
      checkStatement(sql, "execute");
    } catch (error) {
      this.refuse(error as Failure);
    }
    // Its end may need one more.
    const isTooLong = this.#entries.length >= STATEMENTS_MAX - 1;
    if (!isTooLong && this.#characters * 3 <= BODY_BYTES_MAX) return;
    const limit = isTooLong ? `${STATEMENTS_MAX - 1} statements` : `${BODY_BYTES_MAX} bytes`;
    this.refuse(new Failure("too_large", `A transaction has at most ${limit}`));
  }

  #run(statement: Statement): Entry {
    try {
      const result = this.#rehearsal.run(statement);
      const entry: Entry = { statement, result, expect: null };
      this.#entries.push(entry);
      return entry;
    } catch (error) {
      const failure = toFailure(sqlFailure(error, `Statement ${this.#entries.length + 1} failed`));
      this.#entries.push({ statement, result: null, expect: EXPECTS_FAILURE });
      this.failure = failure;
      throw failure;
    }
  }

  #see(entry: Entry): StatementResult {
    const { result } = entry;
    if (result === null) throw this.failure;
    // What is seen later decides nothing of what was done.
    if (!this.#isOver) entry.expect ??= expectationOf(resultText(result));
    return result;
  }
}
