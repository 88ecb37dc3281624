import { expect, test } from "bun:test";
import { Failure } from "../../../../src/base/failure.ts";
import { duckdbFailure } from "../../../../src/lake/query/duckdb-failure.ts";

const tables = new Map([["1", "main.t"]]);

test("what DuckDB says of a statement is the client's to mend, all lines of it", () => {
  const message = 'Parser Error: syntax error at or near "x"\n\nLINE 1: x\n        ^';
  expect(duckdbFailure(new Error(message), tables)).toEqual({
    kind: "invalid",
    message: `Cannot run this query: ${message}`,
  });
});

test("memory is too large, without advice on settings that a client cannot change", () => {
  const error = new Error("Out of Memory Error: 1 GiB used\nOr set SET temp_directory='/path'");
  expect(duckdbFailure(error)).toEqual({
    kind: "too_large",
    message: "Cannot run this query: Out of Memory Error: 1 GiB used",
    details: { reason: "memory" },
  });
});

test("a damaged file names its table", () => {
  const error = new Error("Invalid Input Error: No magic bytes found at end of file '1'\nmore");
  expect(duckdbFailure(error, tables)).toEqual({
    kind: "corrupt",
    message:
      "Cannot read the table main.t: Invalid Input Error: No magic bytes found at end of file '1'",
    details: { reason: "file", table: "main.t" },
  });
});

test("a file that is not the query's is the statement's matter", () => {
  const error = new Error("Invalid Input Error: cannot open file '2'");
  expect(duckdbFailure(error, tables).kind).toBe("invalid");
});

test.each(["INTERRUPT Error: Interrupted!", "INTERNAL Error: x", "FATAL Error: x", "IO Error: x"])(
  "%s may go better another time",
  (message) => expect(duckdbFailure(new Error(message)).kind).toBe("unavailable"),
);

test("a failure of our own stays what it is", () => {
  const failure = new Failure("invalid", "Cannot bind a: it is b", { details: { a: 1 } });
  expect(duckdbFailure(failure)).toEqual({
    kind: "invalid",
    message: "Cannot bind a: it is b",
    details: { a: 1 },
  });
});
