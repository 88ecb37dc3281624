/**
 * Parameters of a statement: which numbers SQLite gives them, and a client's values in that order.
 * Everything is bound by position, so the order found here must be SQLite's own.
 */
import { Failure } from "../base/failure.ts";
import { PARAMETERS_MAX } from "../base/limits.ts";
import type { JsonValue, Parameters } from "./statement.ts";
import type { Token } from "./tokens.ts";
import { isWholeReal, type SqlValue, sqlValue } from "./value.ts";

export interface NumberedParameters {
  /**
   * One entry a parameter, in the order of their numbers: a name with its sigil (`:a`, `?7`), "?"
   * for one without a name, null for a number that the text skips.
   */
  readonly parameters: readonly (string | null)[];
  /** Where they stand in the text. */
  readonly occurrences: readonly ParameterOccurrence[];
}

export interface ParameterOccurrence {
  /** Into `parameters`. */
  readonly index: number;
  /** UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

/** A statement ready for `prepare(sql)` and `.values(...values)`. */
export interface BoundStatement {
  /** The same string object as the statement's, except where `bind` says otherwise. */
  readonly sql: string;
  readonly values: SqlValue[];
}

/** Numbers the parameters among a statement's tokens. Throws `invalid` for `?0` and beyond the limit. */
export function numberParameters(sql: string, tokens: readonly Token[]): NumberedParameters {
  const parameters: (string | null)[] = [];
  const occurrences: ParameterOccurrence[] = [];
  const numbers = new Map<string, number>();
  for (const token of tokens) {
    if (token.kind !== "parameter") continue;
    const name = sql.slice(token.start, token.end);
    let index = numbers.get(name) ?? parameters.length;
    if (name.startsWith("?") && name !== "?") index = Number(name.slice(1)) - 1;
    if (index < 0 || index >= PARAMETERS_MAX) {
      throw new Failure(
        "invalid",
        `Cannot run this statement: the number of parameter ${name} is not from 1 to ${PARAMETERS_MAX}`,
      );
    }
    while (parameters.length <= index) parameters.push(null);
    if (parameters[index] === null) parameters[index] = name;
    if (name !== "?") numbers.set(name, index);
    occurrences.push({ index, start: token.start, end: token.end });
  }
  return { parameters, occurrences };
}

/**
 * The client's values in the order of the statement's parameters.
 *
 * bun:sqlite binds every whole JavaScript number as INTEGER, so a whole real (`{real: "1.0"}`) goes
 * in as an integer under `round()`, which gives exactly that REAL, has no affinity and no fixed
 * type, as a parameter has none. Only then does `sql` differ from the statement's; take the names of
 * columns from the statement's own text if they matter.
 *
 * Throws `invalid`, naming the parameter: a wrong count, a name that is missing or unknown, a value
 * that is none.
 */
export function bind(
  statement: NumberedParameters & { readonly sql: string },
  params: Parameters | undefined,
): BoundStatement {
  const { parameters, sql } = statement;
  const given = params === undefined ? [] : isList(params) ? params : inOrder(parameters, params);
  if (given.length !== parameters.length) {
    throw wrong(`the statement has ${parameters.length}, the request gives ${given.length}`);
  }
  const values: SqlValue[] = [];
  let wholeReals: Set<number> | undefined;
  for (let index = 0; index < given.length; index++) {
    const value = given[index] ?? null;
    if (isWholeReal(value)) {
      wholeReals ??= new Set();
      wholeReals.add(index);
      values.push(BigInt(Number(value.real)));
    } else {
      values.push(sqlValue(value, parameterName(parameters, index)));
    }
  }
  return { sql: wholeReals === undefined ? sql : rounded(statement, wholeReals), values };
}

function isList(params: Parameters): params is readonly JsonValue[] {
  return Array.isArray(params);
}

function inOrder(
  parameters: readonly (string | null)[],
  params: Readonly<Record<string, JsonValue>>,
): JsonValue[] {
  const values: (JsonValue | undefined)[] = new Array(parameters.length);
  for (const [key, value] of Object.entries(params)) {
    if (!place(parameters, key, value, values)) {
      throw wrong(`the statement has no parameter ${key}; it has ${list(parameters)}`);
    }
  }
  return parameters.map((name, index) => {
    const value = values[index];
    if (value !== undefined || name === null) return value ?? null;
    if (name === "?") {
      throw wrong(`parameter ${index + 1} has no name; give the parameters as a list`);
    }
    throw wrong(`${name} is missing`);
  });
}

/** Puts a value where its key belongs: by exact name, by number, else to each name without sigil. */
function place(
  parameters: readonly (string | null)[],
  key: string,
  value: JsonValue,
  values: (JsonValue | undefined)[],
): boolean {
  const number = /^\??([1-9]\d{0,5})$/.exec(key)?.[1];
  if (number !== undefined && Number(number) <= parameters.length) {
    values[Number(number) - 1] = value;
    return true;
  }
  let placed = false;
  parameters.forEach((name, index) => {
    if (name === null || name === "?") return;
    if (name === key) {
      values[index] = value;
      placed = true;
    } else if (name.slice(1) === key) {
      values[index] ??= value;
      placed = true;
    }
  });
  return placed;
}

function rounded(
  { sql, occurrences }: NumberedParameters & { readonly sql: string },
  wholeReals: ReadonlySet<number>,
): string {
  let text = "";
  let at = 0;
  for (const { index, start, end } of occurrences) {
    if (!wholeReals.has(index)) continue;
    text += `${sql.slice(at, start)}round(${sql.slice(start, end)})`;
    at = end;
  }
  return text + sql.slice(at);
}

function parameterName(parameters: readonly (string | null)[], index: number): string {
  const name = parameters[index];
  return name === "?" || name === null || name === undefined ? `parameter ${index + 1}` : name;
}

function list(parameters: readonly (string | null)[]): string {
  if (parameters.length === 0) return "none";
  const shown = parameters.slice(0, 20).map((_, index) => parameterName(parameters, index));
  return shown.join(", ") + (parameters.length > shown.length ? ", …" : "");
}

function wrong(reason: string): Failure {
  return new Failure("invalid", `Cannot bind the parameters: ${reason}`);
}
