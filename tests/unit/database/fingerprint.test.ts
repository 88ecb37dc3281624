import { expect, test } from "bun:test";
import { fingerprint } from "../../../src/database/fingerprint.ts";
import type { Parameters } from "../../../src/database/statement.ts";

const of = (params?: Parameters, sql = "SELECT 1") =>
  fingerprint([params === undefined ? { sql } : { sql, params }]).toHex();

const same: [string, Parameters | undefined, Parameters | undefined][] = [
  ["no parameters, an empty list and an empty map", undefined, []],
  ["an empty list and an empty map", [], {}],
  ["the order of a map", { a: 1, b: 2 }, { b: 2, a: 1 }],
  ["an integer and its text", [1], [{ integer: "1" }]],
  ["an integer and its text with zeros", [-7], [{ integer: "-007" }]],
  ["a boolean and what it is bound as", [true, false], [1, 0]],
  ["a real and its text", [0.5], [{ real: "0.50" }]],
  ["zero and minus zero", [0], [-0]],
];
for (const [name, one, other] of same) {
  test(`the same request: ${name}`, () => expect(of(one)).toBe(of(other)));
}

const different: [string, Parameters | undefined, Parameters | undefined][] = [
  ["a number and a string", [1], ["1"]],
  ["an integer and a real", [1], [{ real: "1.0" }]],
  ["a string and a blob", ["YQ=="], [{ base64: "YQ==" }]],
  ["null and the string", [null], ["null"]],
  ["a list and a map", [1], { 0: 1 }],
  ["the order of a list", [1, 2], [2, 1]],
  ["one more", [1], [1, null]],
  ["a string that looks like a form", ["i1"], [1]],
];
for (const [name, one, other] of different) {
  test(`another request: ${name}`, () => expect(of(one)).not.toBe(of(other)));
}

test("statements cannot move their borders", () => {
  expect(fingerprint([{ sql: "a" }, { sql: "b" }])).not.toEqual(fingerprint([{ sql: "a,b" }]));
  expect(of([], "SELECT 1")).not.toBe(of([], "SELECT 1 "));
});
