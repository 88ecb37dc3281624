/** Queries that fail after rows of them were sent, in real child processes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { QueryFormat } from "../../src/lake/query/lake-query.ts";
import type { LakeQueries } from "../../src/lake/query/queries.ts";
import { ask, type LakeStage, lakeStage, textOf } from "../support/lake-queries.ts";

let stage: LakeStage;
let queries: LakeQueries;

beforeAll(() => {
  stage = lakeStage();
  queries = stage.queries();
});
afterAll(() => stage.close());

const FAILS_LATE = "SELECT CAST(CASE WHEN range = 900000 THEN 'x' ELSE '1' END AS INT) AS one " +
  "FROM range(1000000)";

test.each(["json", "csv", "arrow", "parquet"] as readonly QueryFormat[])(
  "an error after rows of a result were sent is no end of it in %s",
  async (format) => {
    const error = await textOf(queries, ask(FAILS_LATE, { format })).catch((error) => error);
    expect(error).toMatchObject({ kind: "invalid", details: { reason: "row" } });
    expect(String(error)).toMatch(/it failed at a row after the first \d+ of its result/);
  },
);

test("an error after rows of a result were sent is the last line of NDJSON", async () => {
  const lines = (await textOf(queries, ask(FAILS_LATE, { format: "ndjson" }))).trimEnd().split(
    "\n",
  );
  expect(lines.length).toBeGreaterThan(1_000);
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ error: { kind: "invalid" } });
});

test("the next query is not told of it", async () => {
  const sql = "SELECT count(*)::INT AS n FROM (SELECT now() FROM range(1000000))";
  const text = await textOf(queries, ask(sql, { format: "ndjson" }));
  expect(text).toEndWith('[1000000]\n{"rows":1}\n');
});
