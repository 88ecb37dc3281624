import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type DuckDBConnection,
  DuckDBInstance,
  DuckDBTimestampSecondsValue,
  TIMESTAMP_S,
} from "@duckdb/node-api";
import { parquetReadObjects } from "hyparquet";
import { zstdDecompressSync } from "node:zlib";
import { Failure } from "../../../../src/base/failure.ts";
import { parquetFlat } from "../../../../src/lake/query/parquet-flat.ts";
import { type ParquetLimits, ParquetStream } from "../../../../src/lake/query/parquet-stream.ts";
import type { Piece } from "../../../../src/lake/query/result-writer.ts";
import { ParquetJudge } from "../../../support/duckdb-parquet.ts";

let judge: ParquetJudge;
let connection: DuckDBConnection;
beforeAll(async () => {
  judge = await ParquetJudge.start();
  connection = await (await DuckDBInstance.create(":memory:", { threads: "1" })).connect();
});
afterAll(() => {
  judge.stop();
  connection.closeSync();
});

const ROOMY: ParquetLimits = {
  groupRowsMax: 100_000,
  groupBytesMax: 10_000_000,
  groupsMax: 10_000,
  footerBytesMax: 100_000_000,
};

/** What goes out before the end, and at the end. */
async function pieces(sql: string, limits: Partial<ParquetLimits> = {}) {
  const result = await connection.stream(sql);
  const columns = result.columnTypes().map((type, at) => ({ name: result.columnName(at), type }));
  const writer = new ParquetStream(columns, { ...ROOMY, ...limits });
  const before: Piece[] = [];
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    before.push(...writer.chunk(chunk.getColumns(), chunk.rowCount));
  }
  return { before: joined(before), end: joined([...writer.end()]) };
}

function joined(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map((piece) => piece as Uint8Array));
}

async function written(sql: string, limits: Partial<ParquetLimits> = {}): Promise<Buffer> {
  const { before, end } = await pieces(sql, limits);
  return Buffer.concat([before, end]);
}

/** Writes the result, and says what DuckDB reads in it, with the types. */
async function read(sql: string, limits: Partial<ParquetLimits> = {}) {
  const path = judge.keep(await written(sql, limits));
  const types = await judge.sql(`DESCRIBE FROM ${path}`);
  return {
    path,
    types: types.map(({ column_type }) => column_type),
    rows: await judge.values(`FROM ${path}`),
  };
}

async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.catch((error) => error);
  if (error instanceof Failure) return error;
  throw new Error(`it did not fail: ${String(error)}`);
}

describe("a value", () => {
  test.each([
    ["true", "BOOLEAN"],
    ["(-128)::TINYINT", "TINYINT"],
    ["(-32768)::SMALLINT", "SMALLINT"],
    ["(-2147483648)::INTEGER", "INTEGER"],
    ["-9223372036854775808", "BIGINT"],
    ["255::UTINYINT", "UTINYINT"],
    ["65535::USMALLINT", "USMALLINT"],
    ["4294967295::UINTEGER", "UINTEGER"],
    ["18446744073709551615::UBIGINT", "UBIGINT"],
    ["0.1::FLOAT", "FLOAT"],
    ["'-inf'::FLOAT", "FLOAT"],
    ["'NaN'::DOUBLE", "DOUBLE"],
    ["-0.0::DOUBLE", "DOUBLE"],
    ["99999.9999::DECIMAL(9,4)", "DECIMAL(9,4)"],
    ["-99999999999999.9999::DECIMAL(18,4)", "DECIMAL(18,4)"],
    ["-0.00000000000000000000000000000000000001::DECIMAL(38,38)", "DECIMAL(38,38)"],
    ["DATE '2020-02-29'", "DATE"],
    ["'-infinity'::DATE", "DATE"],
    ["TIME '23:59:59.999999'", "TIME"],
    ["TIMESTAMP '0001-02-03 04:05:06.789012'", "TIMESTAMP"],
    ["'infinity'::TIMESTAMP", "TIMESTAMP"],
    ["TIMESTAMPTZ '2020-02-29 12:34:56.789012+01'", "TIMESTAMP WITH TIME ZONE"],
    ["'2020-02-29 12:34:56.789012345'::TIMESTAMP_NS", "TIMESTAMP_NS"],
    ["'a \"b\", 🦆'", "VARCHAR"],
    ["''", "VARCHAR"],
    ["repeat('🦆é', 5000)", "VARCHAR"],
    ["'\\x00\\xFF'::BLOB", "BLOB"],
    ["[1, NULL, 3]", "INTEGER[]"],
    ["[]::VARCHAR[]", "VARCHAR[]"],
    ["[[1], NULL, []]", "INTEGER[][]"],
    ["{'a': 1, 'b': NULL::VARCHAR, 'c': [1.5::DOUBLE]}", null],
    ["MAP {'k': 1.5::DOUBLE, 'l': NULL}", "MAP(VARCHAR, DOUBLE)"],
    ["MAP {1: [{'a': 'x'}]}", null],
    ["[DATE '2020-01-01', NULL]", "DATE[]"],
  ])("%s is the same, of the same type, and so is none", async (sql, type) => {
    const select = `SELECT ${sql} AS v UNION ALL SELECT NULL ORDER BY v NULLS LAST`;
    const expected = await judge.sql(`DESCRIBE ${select}`);
    const found = await read(select);
    expect(found.types).toEqual([expected[0]?.["column_type"]]);
    if (type !== null) expect(found.types).toEqual([type]);
    expect(found.rows).toEqual(await judge.values(select));
  });

  test.each([
    ["7::HUGEINT", "DECIMAL(38,0)", "7::DECIMAL(38,0)"],
    ["-(10::HUGEINT ** 37)::HUGEINT", "DECIMAL(38,0)", "-(10::HUGEINT ** 37)::DECIMAL(38,0)"],
    ["[{'a': 7::HUGEINT}]", "STRUCT(a DECIMAL(38,0))[]", "[{'a': 7::DECIMAL(38,0)}]"],
    ["'1960-02-29 12:34:56'::TIMESTAMP_S", "TIMESTAMP", "TIMESTAMP '1960-02-29 12:34:56'"],
    ["'-infinity'::TIMESTAMP_S", "TIMESTAMP", "'-infinity'::TIMESTAMP"],
    ["'2020-02-29 12:34:56.789'::TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP '2020-02-29 12:34:56.789'"],
    ["'infinity'::TIMESTAMP_MS", "TIMESTAMP", "'infinity'::TIMESTAMP"],
    ["[1, 2]::INTEGER[2]", "INTEGER[]", "[1, 2]"],
    [
      "'00112233-4455-6677-8899-aabbccddeeff'::UUID",
      "VARCHAR",
      "'00112233-4455-6677-8899-aabbccddeeff'",
    ],
    ["'{\"a\":1}'::JSON", "VARCHAR", "'{\"a\":1}'"],
    ["INTERVAL '1 month 2 days'", "VARCHAR", "'1 month 2 days'"],
    [
      "170141183460469231731687303715884105728::UHUGEINT",
      "VARCHAR",
      "'170141183460469231731687303715884105728'",
    ],
    ["'0101'::BIT", "VARCHAR", "'0101'"],
    ["'x'::ENUM('x', 'y')", "VARCHAR", "'x'"],
    ["union_value(n := 1)", "VARCHAR", "'{\"n\":1}'"],
    ["'01:02:03.123456789'::TIME_NS", "VARCHAR", null],
    ["'01:02:03+04'::TIMETZ", "VARCHAR", null],
  ])("%s, of a type that Parquet has not, is written as %s", async (sql, type, same) => {
    const found = await read(`SELECT ${sql} AS v`);
    expect(found.types).toEqual([type]);
    if (same !== null) expect(found.rows).toEqual(await judge.values(`SELECT ${same}`));
  });

  test("that Parquet cannot hold is refused with its column", async () => {
    const far = `-1${"0".repeat(38)}`;
    const failure = await failureOf(written(`SELECT 1 AS fine, [NULL, ${far}] AS "too far"`));
    expect(failure.kind).toBe("invalid");
    expect(failure.message).toContain(
      `the column "too far" HUGEINT as Parquet: ${far} has more than 38 digits`,
    );
    const seconds = parquetFlat("t")(TIMESTAMP_S);
    expect(() => seconds?.data([new DuckDBTimestampSecondsValue(2n ** 53n)])).toThrow(
      'the column "t" TIMESTAMP_S as Parquet: 9007199254740992000000 microseconds do not fit',
    );
  });
});

/** Nulls, lists and bits whose places in a vector begin anywhere when it is divided. */
const MANY = `
  SELECT i, i % 3 = 0 AS b, nullif(i % 5, 0) AS n, 'text ' || i AS t, ('x' || (i % 7))::BLOB AS y,
    [i, NULL, i + 1][:(i % 4)] AS l, {'a': i, 'b': nullif([i::VARCHAR], ['5'])} AS s,
    MAP {'k' || i: nullif(i, 7)} AS m, (i / 8)::DECIMAL(18,3) AS d, i::HUGEINT * i AS h
  FROM range(10000) r(i)`;

describe("row groups", () => {
  test.each<[Partial<ParquetLimits>, number | null]>([
    [{}, 1],
    // DuckDB gives 2048 rows at a time.
    [{ groupRowsMax: 5_000 }, 3],
    [{ groupRowsMax: 1_000 }, 18],
    [{ groupBytesMax: 100_000 }, null],
    [{ groupBytesMax: 20_000 }, null],
  ])("have all rows in their order: %j", async (limits, groups) => {
    const { path, rows } = await read(MANY, limits);
    const same = MANY.replace("i::HUGEINT * i", "(i::HUGEINT * i)::DECIMAL(38,0)");
    expect(rows).toEqual(await judge.values(same));
    const [file] = await judge.sql(
      `SELECT num_rows::INTEGER AS rows, num_row_groups::INTEGER AS groups
      FROM parquet_file_metadata(${path})`,
    );
    expect(file?.["rows"]).toBe(10_000);
    if (groups !== null) expect(file?.["groups"]).toBe(groups);
    else expect(file?.["groups"]).toBeGreaterThan(10);
    const [largest] = await judge.sql(`
      SELECT max(row_group_num_rows)::INTEGER AS rows FROM parquet_metadata(${path})`);
    expect(largest?.["rows"]).toBeLessThanOrEqual(limits.groupRowsMax ?? 10_000);
  });

  test("are left out by their statistics", async () => {
    const { path } = await read("SELECT i FROM range(10000) r(i)", { groupRowsMax: 2_048 });
    const stats = await judge.sql(`
      SELECT stats_min_value AS low, stats_max_value AS high FROM parquet_metadata(${path})`);
    expect(stats[1]).toEqual({ low: "2048", high: "4095" });
    expect(await judge.values(`SELECT i::INTEGER FROM ${path} WHERE i = 2048`)).toEqual([[2048]]);
  });

  test("are read by another reader of Parquet", async () => {
    const bytes = await written(MANY, { groupRowsMax: 3_000 });
    const rows = await parquetReadObjects({
      file: Uint8Array.from(bytes).buffer,
      compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) },
    });
    expect(rows).toHaveLength(10_000);
    expect(rows[9_999]).toMatchObject({
      i: 9_999n,
      b: true,
      n: 4n,
      t: "text 9999",
      l: [9_999n, null, 10_000n],
      s: { a: 9_999n, b: ["9999"] },
      m: { k9999: 9_999n },
      d: 1249.875,
    });
  });

  test("of a result without rows are none", async () => {
    const { rows, types } = await read(`${MANY} WHERE i < 0`);
    expect(rows).toEqual([]);
    expect(types.slice(0, 4)).toEqual(["BIGINT", "BOOLEAN", "BIGINT", "VARCHAR"]);
  });

  test("have columns of one name, of whatever types, and names with dots and quotes", async () => {
    const sql =
      `SELECT 1 AS a, 'x' AS a, 2.5::DOUBLE AS a, {'b': 3} AS s, 4 AS "s.b", 5 AS "ö ""'"`;
    expect((await read(sql)).rows).toEqual(await judge.values(sql));
  });

  test("of very many columns are plain, and whole", async () => {
    const columns = Array.from(
      { length: 65 },
      (_, at) => `i + ${at} AS n${at}, 't' || i AS t${at}`,
    );
    const sql = `SELECT ${columns.join(", ")}, [{'a': 'x', 'b': i}] AS l FROM range(3000) r(i)`;
    const { path, rows } = await read(sql);
    expect(rows).toEqual(await judge.values(sql));
    const encodings = await judge.sql(`SELECT DISTINCT encodings FROM parquet_metadata(${path})`);
    expect(encodings.map(({ encodings }) => encodings)).toEqual(["PLAIN, RLE"]);
  });

  test("that went out are no file without the end", async () => {
    const { before, end } = await pieces(MANY, { groupRowsMax: 3_000 });
    expect(before.length).toBeGreaterThan(10_000);
    const cuts = [before, Buffer.concat([before, end.subarray(0, -1)])];
    for (const cut of cuts) {
      const error = await judge.values(`FROM ${judge.keep(cut)}`).catch((error) => error);
      expect(String(error)).toContain("No magic bytes found at end of file");
    }
  });
});

describe("a result is too large", () => {
  test("with a row that has no room in a row group", async () => {
    const sql = "SELECT i, repeat('x', i) AS t FROM range(3000) r(i)";
    expect((await read(sql, { groupBytesMax: 3_100 })).rows).toHaveLength(3_000);
    const failure = await failureOf(written(sql, { groupBytesMax: 2_000 }));
    expect(failure.kind).toBe("too_large");
    expect(failure.message).toContain("a row of its result has more than 2000 bytes");
  });

  test("with too many row groups, or too much to say of them", async () => {
    const limits = { groupRowsMax: 1_024 };
    expect((await read(MANY, { ...limits, groupsMax: 12 })).rows).toHaveLength(10_000);
    for (const low of [{ groupsMax: 9 }, { footerBytesMax: 10_000 }]) {
      const failure = await failureOf(written(MANY, { ...limits, ...low }));
      expect(failure.kind).toBe("too_large");
      expect(failure.message).toContain("ask for Arrow, NDJSON, CSV or JSON");
    }
  });
});
