import { expect, test } from "bun:test";
import { isFailure } from "../../../src/base/failure.ts";
import { PARAMETERS_MAX, STATEMENT_BYTES_MAX, STATEMENTS_MAX } from "../../../src/base/limits.ts";
import { parseStatement, parseStatements } from "../../../src/database/statement-parse.ts";

function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (isFailure(error, "invalid", "too_large")) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "";
}

test("a statement comes out as it went in", () => {
  const params = [1, "a", null, true, { integer: "1" }, { real: "1" }, { base64: "" }];
  expect(parseStatement({ sql: "SELECT 1", params }, "")).toEqual({ sql: "SELECT 1", params });
  expect(parseStatement({ sql: "SELECT 1", params: { a: 1 } }, "").params).toEqual({ a: 1 });
  expect(parseStatement({ sql: "SELECT 1" }, "")).toEqual({ sql: "SELECT 1" });
});

test("what does not fit is refused with path, found and allowed", () => {
  const at = (value: unknown) => refusal(() => parseStatement(value, "statements[2]"));
  expect(at({ sql: 1 })).toBe("invalid: statements[2].sql is 1; allowed: a string of SQL");
  expect(at({})).toContain("statements[2].sql is missing");
  expect(at([])).toContain("statements[2] is []; allowed: an object");
  expect(at({ sql: "a", parms: [] })).toContain(
    "statements[2].parms is unknown; allowed: sql, params",
  );
  expect(at({ sql: "a", params: 5 })).toContain("statements[2].params is 5");
  expect(at({ sql: "a", params: null })).toContain("statements[2].params is null");
  expect(at({ sql: "a", params: [1, [2]] })).toContain("statements[2].params[1] is [2]");
  expect(at({ sql: "a", params: { b: {} } })).toContain("statements[2].params.b is {}");
  expect(at({ sql: "a", params: [{ integer: 5 }] })).toContain('is {"integer":5}; allowed: null');
  expect(refusal(() => parseStatement(null, ""))).toContain("the body is null");
});

test("what is nested deeper than can be shown is refused like anything else", () => {
  const deep: unknown = JSON.parse("[".repeat(100_000) + "]".repeat(100_000));
  expect(refusal(() => parseStatement(deep, "statements[0]"))).toMatch(
    /^invalid: statements\[0\] is .*too deep to show; allowed: an object$/,
  );
});

test("limits are named", () => {
  const long = "é".repeat(STATEMENT_BYTES_MAX / 2);
  expect(parseStatement({ sql: long }, "").sql).toBe(long);
  expect(refusal(() => parseStatement({ sql: `${long}a` }, ""))).toContain(
    `too_large: sql has ${STATEMENT_BYTES_MAX + 1} bytes; at most ${STATEMENT_BYTES_MAX}`,
  );
  const params = new Array(PARAMETERS_MAX + 1).fill(1);
  expect(refusal(() => parseStatement({ sql: "a", params }, ""))).toContain("too_large: params");
  const many = new Array(STATEMENTS_MAX + 1).fill({ sql: "a" });
  expect(refusal(() => parseStatements(many, "statements"))).toContain("too_large: statements");
  expect(refusal(() => parseStatements([], "statements"))).toContain("statements is empty");
  expect(refusal(() => parseStatements({}, "statements"))).toContain("a list of statements");
  expect(parseStatements([{ sql: "a" }, { sql: "b" }], "statements")).toHaveLength(2);
});
