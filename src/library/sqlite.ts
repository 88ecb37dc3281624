/**
 * The handle with which a program's function works on a database: the calls of `bun:sqlite` that make
 * sense inside one transaction, whose results are complete and whose statements never commit.
 */
import { Failure } from "../base/failure.ts";
import type { StatementResult } from "../database/run-statement.ts";
import type { JsonValue, Statement } from "../database/statement.ts";
import { parseStatement } from "../database/statement-parse.ts";
import type { SqlValue } from "../database/value.ts";

/** What SQLite gives. Integers are numbers up to ±(2^53 − 1), and bigint beyond. */
export type Value = null | number | bigint | string | Uint8Array;

/** What may be bound: whole numbers as INTEGER, others as REAL, booleans as 0 and 1. */
export type Parameter = Value | boolean;

/** Values in the order of the parameters, or one map from their names (with or without sigil). */
export type Parameters = readonly Parameter[] | readonly [Readonly<Record<string, Parameter>>];

export type Row = Readonly<Record<string, Value>>;

export interface Query<R = Row> {
  all(...params: Parameters): R[];
  /** The first row, or null. */
  get(...params: Parameters): R | null;
  /** Rows as lists. */
  values(...params: Parameters): Value[][];
}

export interface ReadHandle {
  /** Throws `invalid` for what is not one statement that reads. */
  query<R = Row>(sql: string): Query<R>;
}

export interface RunResult {
  /** Rows inserted, changed or deleted. */
  readonly changes: number;
  /** Of the last row that was inserted; null when none was. */
  readonly lastInsertRowid: number | bigint | null;
}

export interface TransactionHandle extends ReadHandle {
  /** One statement. What is not looked at of its result may differ at the owner. */
  run(sql: string, ...params: Parameters): RunResult;
}

/** A statement that has run. */
export interface Ran {
  /** Notes that the caller sees it. */
  see(): StatementResult;
}

export type Execute = (statement: Statement) => Ran;

/** `execute` throws for a statement that the program may not run. */
export function transactionHandle(execute: Execute): TransactionHandle {
  const seen = (sql: string, params: Parameters) => execute(statementOf(sql, params)).see();
  return {
    query: <R>(sql: string): Query<R> => ({
      all: (...params) => rowsOf(seen(sql, params)) as R[],
      get: (...params) => (rowsOf(seen(sql, params))[0] ?? null) as R | null,
      values: (...params) => seen(sql, params).rows.map((row) => row.map(plainValue)),
    }),
    run: (sql, ...params) => {
      const ran = execute(statementOf(sql, params));
      return {
        get changes() {
          return Number(ran.see().changes);
        },
        get lastInsertRowid() {
          const { lastInsertId } = ran.see();
          return lastInsertId === null ? null : plainValue(lastInsertId) as number | bigint;
        },
      };
    },
  };
}

function statementOf(sql: string, params: Parameters): Statement {
  const [first] = params;
  const isMap = params.length === 1 && typeof first === "object" && first !== null &&
    !(first instanceof Uint8Array);
  const given = isMap
    ? Object.fromEntries(Object.entries(first).map(([name, value]) => [name, jsonOf(value)]))
    : params.map((value) => jsonOf(value as Parameter));
  return parseStatement({ sql, params: given }, "statement");
}

function jsonOf(value: Parameter): JsonValue {
  if (typeof value === "bigint") return { integer: `${value}` };
  if (value instanceof Uint8Array) return { base64: value.toBase64() };
  if (typeof value !== "number" || Number.isFinite(value)) return value;
  if (Number.isNaN(value)) {
    throw new Failure("invalid", "Cannot bind NaN: SQLite has no such value");
  }
  return { real: value > 0 ? "Infinity" : "-Infinity" };
}

function rowsOf({ columns, rows }: StatementResult): Row[] {
  const names = columns ?? [];
  return rows.map((row) =>
    Object.fromEntries(names.map((name, at) => [name, plainValue(row[at] ?? null)]))
  );
}

function plainValue(value: SqlValue): Value {
  if (typeof value === "boolean") return Number(value);
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
