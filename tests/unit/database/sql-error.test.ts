import { expect, test } from "bun:test";
import { sqlFailure } from "../../../src/database/sql-error.ts";

const failed = (code: string) => sqlFailure(Object.assign(new Error("no"), { code }), "It failed");

test("what the system has no room for is unavailable, not the fault of the request", () => {
  expect(failed("ENOSPC")).toMatchObject({ kind: "unavailable", message: "It failed: no" });
  expect(failed("EMFILE").kind).toBe("unavailable");
});

test("an error that is neither the system's nor SQLite's is invalid", () => {
  expect([failed("ERR_OUT_OF_RANGE").kind, sqlFailure(new Error("no"), "It failed").kind]).toEqual([
    "invalid",
    "invalid",
  ]);
});

test("a file that SQLite cannot open is unavailable", () => {
  expect(failed("SQLITE_CANTOPEN").kind).toBe("unavailable");
});
