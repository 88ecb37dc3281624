import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { bind } from "../../../src/database/parameters.ts";
import { checkStatement } from "../../../src/database/rules.ts";
import type { Parameters } from "../../../src/database/statement.ts";
import { encodeColumns, encodeRow, type SqlValue } from "../../../src/database/value.ts";

const database = new Database(":memory:", { safeIntegers: true });

/** The first row as the wire shows it. */
function row(sql: string, params?: Parameters): string {
  const bound = bind(checkStatement(sql, "query"), params);
  const values = database.prepare(bound.sql).values(...bound.values);
  return encodeRow((values[0] ?? []) as SqlValue[]);
}

function refusal(sql: string, params: unknown): string {
  try {
    bind(checkStatement(sql, "query"), params as Parameters);
  } catch (error) {
    if (error instanceof Failure && error.kind === "invalid") return error.message;
    throw error;
  }
  return "";
}

test("whole numbers bind as INTEGER and fractions as REAL, at every size", () => {
  for (const value of [0, 1, -1, 2 ** 31, -(2 ** 40), 2 ** 51, 2 ** 53 - 1, -(2 ** 53) + 1]) {
    expect(row("SELECT typeof(?1), ?1", [value])).toBe(`["integer",${value}]`);
  }
  for (const value of [0.5, -1.25, 1e300, 2 ** 63 * 2, 5e-324]) {
    expect(row("SELECT typeof(?1), ?1", [value])).toBe(`["real",${encodeRow([value]).slice(1)}`);
  }
});

test("a whole real binds as REAL wherever the parameter stands", () => {
  for (const text of ["1.0", "-5", "0.0", "2251799813685248", "9007199254740991", "1e2"]) {
    const value = encodeRow([Number(text)]).slice(1);
    expect(row("SELECT typeof(?1), ?1", [{ real: text }])).toBe(`["real",${value}`);
  }
  expect(row("SELECT typeof(:a), ?, typeof(@b), :a", [{ real: "3" }, 3, { real: "4" }]))
    .toBe('["real",3,"real",3.0]');
  // No affinity, as a parameter has none: a text is never equal to a number.
  expect(row("SELECT x = '1' FROM (SELECT ? AS x)", [{ real: "1" }])).toBe("[0]");
});

test("reals that JSON cannot say come and go as {real}", () => {
  expect(row("SELECT ?, ?", [{ real: "Infinity" }, { real: "-Infinity" }]))
    .toBe('[{"real":"Infinity"},{"real":"-Infinity"}]');
  expect(row("SELECT -0.0, ?, 1e21, 100.0", [{ real: "-0.0" }])).toBe("[-0.0,-0.0,1e+21,100.0]");
});

test("integers beyond 2^53 travel as {integer}, to both ends of 64 bits", () => {
  for (const text of ["9223372036854775807", "-9223372036854775808", "9007199254740992"]) {
    expect(row("SELECT typeof(?1), ?1", [{ integer: text }]))
      .toBe(`["integer",{"integer":"${text}"}]`);
  }
  expect(row("SELECT ?", [{ integer: "7" }])).toBe("[7]");
});

test("blobs, texts, booleans and null come through", () => {
  expect(row("SELECT ?, ?, typeof(?3), ?3", [{ base64: "AQID/w==" }, { base64: "" }, null]))
    .toBe('[{"base64":"AQID/w=="},{"base64":""},"null",null]');
  expect(row("SELECT ?, ?, length(?3), ?3", [true, false, '"\\\n é😀'])).toBe(
    `[1,0,6,${JSON.stringify('"\\\n é😀')}]`,
  );
  expect(row("SELECT length(CAST(? AS BLOB))", ["a\0b"])).toBe("[3]");
});

test("text that is not UTF-8 still gives valid JSON", () => {
  const text = row("SELECT CAST(x'ff41eda080c3' AS TEXT), ?", ["\ud800"]);
  expect(JSON.parse(text)).toHaveLength(2);
  expect(encodeRow(["\ud800"])).toBe('["\\ud800"]');
  expect(encodeColumns(['a"', "b"])).toBe('["a\\"","b"]');
});

test("a key names a parameter with or without its sigil", () => {
  for (const key of ["a", ":a"]) expect(row("SELECT :a, :a", { [key]: 1 })).toBe("[1,1]");
  expect(row("SELECT @a, $b", { "@a": 1, b: 2 })).toBe("[1,2]");
  expect(row("SELECT :a, @a", { a: 1, "@a": 2 })).toBe("[1,2]");
  expect(row("SELECT :a, @a", { "@a": 2, a: 1 })).toBe("[1,2]");
  expect(row("SELECT ?2, ?1", { "?1": 1, "2": 2 })).toBe("[2,1]");
  expect(row("SELECT ?3", { "3": 3 })).toBe("[3]");
  expect(row("SELECT $a::b(c)", { "a::b(c)": 1 })).toBe("[1]");
});

test("a list binds by number, whatever the parameters are called", () => {
  expect(row("SELECT :a, ?, ?5, @b, :a", [1, 2, 3, 4, 5, 6])).toBe("[1,2,5,6,1]");
});

test("a wrong count, a missing or unknown name is refused by name", () => {
  expect(refusal("SELECT ?, ?", [1])).toContain("has 2, the request gives 1");
  expect(refusal("SELECT 1", [1])).toContain("has 0, the request gives 1");
  expect(refusal("SELECT ?", undefined)).toContain("has 1, the request gives 0");
  expect(refusal("SELECT :a, :b", { a: 1 })).toContain(":b is missing");
  expect(refusal("SELECT :a", { a: 1, c: 2 })).toContain("no parameter c; it has :a");
  expect(refusal("SELECT :a", { "@a": 1 })).toContain("no parameter @a");
  expect(refusal("SELECT :a, ?", { a: 1 })).toContain("parameter 2 has no name");
  expect(refusal("SELECT :a", {})).toContain(":a is missing");
});

test("a value that is none is refused, naming the parameter, what was found and what is allowed", () => {
  expect(refusal("SELECT ?", [{ integer: "9223372036854775808" }])).toContain("-2^63 to 2^63-1");
  expect(refusal("SELECT ?", [{ integer: "1.5" }])).toContain("parameter 1");
  expect(refusal("SELECT ?", [{ integer: 5 }])).toContain("the integer is 5");
  expect(refusal("SELECT :a", [{ real: "NaN" }])).toContain("Cannot bind :a");
  expect(refusal("SELECT ?", [{ real: "" }])).toContain('the real is ""');
  expect(refusal("SELECT ?", [{ base64: "a*b" }])).toContain("not base64");
  expect(refusal("SELECT ?", [{ base64: 1 }])).toContain("not a string");
  expect(refusal("SELECT ?", [{ a: 1 }])).toContain("keys a; allowed");
  expect(refusal("SELECT ?", [{ integer: "1", real: "1" }])).toContain("keys integer, real");
  expect(refusal("SELECT ?", [[1]])).toContain("a list");
  expect(refusal("SELECT ?", [2 ** 53])).toContain("beyond 2^53");
});
