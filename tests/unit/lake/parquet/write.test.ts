import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parquetReadObjects } from "hyparquet";
import { zstdDecompressSync } from "node:zlib";
import { Failure } from "../../../../src/base/failure.ts";
import { PARQUET_ROW_GROUP_ROWS, PARQUET_ROWS_MAX } from "../../../../src/base/lake-limits.ts";
import type { Column } from "../../../../src/lake/column.ts";
import { parquetMemoryBytes } from "../../../../src/lake/parquet/wasm.ts";
import { writeRows } from "../../../../src/lake/parquet/write.ts";
import type { LakeValue } from "../../../../src/lake/rows.ts";
import { ParquetJudge } from "../../../support/duckdb-parquet.ts";
import { ColumnMaker } from "../../../support/lake-column.ts";
import { columnTree, SAMPLE_BATCH, SAMPLES } from "../../../support/parquet-samples.ts";

let judge: ParquetJudge;
beforeAll(async () => {
  judge = await ParquetJudge.start();
});
afterAll(() => judge.stop());

const { columns } = SAMPLE_BATCH;

function writeColumn(column: Column, values: readonly LakeValue[]) {
  return writeRows([column], [{ columns: [column], rows: values.length, vectors: [values] }]);
}

function failureOf(action: () => unknown): Failure {
  try {
    action();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("a file", () => {
  test("gives DuckDB every value of every type, in the type that DuckDB writes itself", async () => {
    const path = judge.keep(writeRows(columns, [SAMPLE_BATCH]).bytes);
    expect(await judge.vectors(path, columns)).toEqual(SAMPLE_BATCH.vectors as LakeValue[][]);
    const types = await judge.sql(`DESCRIBE FROM ${path}`);
    expect(types.map((row) => [row["column_name"], row["column_type"]]))
      .toEqual(SAMPLES.map(({ column, duckdbType }) => [column.name, duckdbType]));
  });

  test("has the stored type, units and time zones of a file that DuckDB copies from it", async () => {
    const ours = judge.keep(writeRows(columns, [SAMPLE_BATCH]).bytes);
    const theirs = judge.path();
    await judge.sql(`COPY (FROM ${ours}) TO ${theirs} (FORMAT parquet)`);
    // DuckDB leaves out what says nothing new of integers, dates, decimals, text and nested columns.
    const schema = (path: string) =>
      judge.sql(`
      SELECT row_number() OVER () AS place, type, type_length, repetition_type, precision, scale,
        CASE WHEN logical_type SIMILAR TO '(Time|Json|UUID).*' THEN logical_type END AS meaning,
        duckdb_type
      FROM parquet_schema(${path}) OFFSET 1`);
    // Reading made microseconds of milliseconds.
    const units = (rows: Awaited<ReturnType<typeof schema>>) =>
      rows.filter(({ meaning }) => !String(meaning).includes("MilliSeconds()"))
        .filter(({ place }) => place !== "18");
    expect(units(await schema(ours))).toEqual(units(await schema(theirs)));
    expect(String((await schema(ours))[16]?.["meaning"])).toContain("MilliSeconds()");
  });

  test("has the id of every column, nested ones too, and nothing of Arrow", async () => {
    const path = judge.keep(writeRows(columns, [SAMPLE_BATCH]).bytes);
    const fields = await judge.sql(
      `SELECT name, field_id::INTEGER AS id FROM parquet_schema(${path}) WHERE field_id IS NOT NULL`,
    );
    const all = columns.flatMap(columnTree);
    expect(fields).toEqual(all.map(({ name, id }) => ({ name, id })));
    expect(await judge.sql(`FROM parquet_kv_metadata(${path})`)).toEqual([]);
  });

  test("is read by another reader, which has its own idea of each type", async () => {
    const { bytes } = writeRows(columns, [SAMPLE_BATCH]);
    const file = bytes.buffer.slice(
      bytes.byteOffset,
      bytes.byteOffset + bytes.length,
    ) as ArrayBuffer;
    const rows = await parquetReadObjects({
      file,
      compressors: { ZSTD: (input) => Uint8Array.from(zstdDecompressSync(input)) },
    });
    const read = (name: string) => rows.map((row) => row[name] ?? null);
    const written = (name: string) =>
      SAMPLE_BATCH.vectors[columns.findIndex((column) => column.name === name)];
    for (const name of ["boolean", "int8", "int32", "uint8", "float64", "varchar", "list"]) {
      expect(read(name)).toEqual(written(name) as unknown[]);
    }
    expect(read("int64").map((value) => value === null ? null : BigInt(value as bigint)))
      .toEqual(written("int64")!.map((value) => value === null ? null : BigInt(value as bigint)));
    expect(read("uuid")[0]).toBe("ffffffff-ffff-ffff-ffff-ffffffffffff");
    expect(read("json")[0]).toEqual({ a: [1, "😀"] });
    expect(read("small").slice(0, 3)).toEqual([-99.99, null, 99.99]);
    expect(read("date")[3]).toEqual(new Date(0));
    expect(read("timestamptz").length).toBe(SAMPLE_BATCH.rows);
  });

  test("has row groups of DuckDB's size, over the borders of batches", async () => {
    const column = new ColumnMaker().make("n", "int32");
    const rows = 100_000;
    const batch = { columns: [column], rows, vectors: [Array.from({ length: rows }, (_, n) => n)] };
    const file = writeRows([column], [batch, batch]);
    const path = judge.keep(file.bytes);
    expect(
      await judge.sql(`
      SELECT row_group_num_rows::INTEGER AS rows FROM parquet_metadata(${path}) ORDER BY row_group_id
    `),
    ).toEqual([
      { rows: PARQUET_ROW_GROUP_ROWS },
      { rows: 2 * rows - PARQUET_ROW_GROUP_ROWS },
    ]);
    expect(await judge.sql(`SELECT sum(n)::INTEGER AS sum FROM ${path} WHERE n < 1000`))
      .toEqual([{ sum: 999_000 }]);
    expect(file.rows).toBe(2 * rows);
  });

  test("keeps every byte of a text: a byte order mark, and U+FFFD for half a character", async () => {
    const column = new ColumnMaker().make("text", "varchar");
    // The halves of one character in two values are not that character.
    const file = writeColumn(column, ["\ufeffx", "a\ud83d", "\ude00b"]);
    const hex = await judge.sql(`SELECT hex(text) AS hex FROM ${judge.keep(file.bytes)}`);
    expect(hex.map((row) => row["hex"])).toEqual(["EFBBBF78", "61EFBFBD", "EFBFBD62"]);
    expect(file.statistics[0]).toMatchObject({ min: "a\ufffd", max: "\ufffdb" });
    expect(writeColumn(column, ["\ufeffx"]).statistics[0]).toMatchObject({ min: "\ufeffx" });
  });

  test("may have no rows", async () => {
    const file = writeRows(columns, []);
    expect(file.rows).toBe(0);
    expect(await judge.sql(`SELECT count(*)::INTEGER AS n FROM ${judge.keep(file.bytes)}`))
      .toEqual([{ n: 0 }]);
    expect(file.statistics.every(({ values, min }) => values === 0 && min === null)).toBe(true);
  });

  test("carries the ids of rows and snapshots under the ids that DuckLake looks for", async () => {
    const column = new ColumnMaker().make("n", "int32");
    const batches = [[1, 2], [3]].map((values) => ({
      columns: [column],
      rows: values.length,
      vectors: [values],
    }));
    const file = writeRows([column], batches, {
      rowIds: BigInt64Array.of(7n, 9n, 2n ** 40n),
      snapshotIds: BigInt64Array.of(3n, 3n, 4n),
    });
    const path = judge.keep(file.bytes);
    expect(await judge.sql(`FROM ${path}`)).toEqual([
      { n: 1, _ducklake_internal_row_id: "7", _ducklake_internal_snapshot_id: "3" },
      { n: 2, _ducklake_internal_row_id: "9", _ducklake_internal_snapshot_id: "3" },
      { n: 3, _ducklake_internal_row_id: "1099511627776", _ducklake_internal_snapshot_id: "4" },
    ]);
    expect(
      await judge.sql(`
      SELECT field_id::INTEGER AS id, duckdb_type FROM parquet_schema(${path}) OFFSET 2`),
    ).toEqual([
      { id: 2_147_483_540, duckdb_type: "BIGINT" },
      { id: 2_147_483_539, duckdb_type: "BIGINT" },
    ]);
    expect(file.statistics.map(({ columnId }) => columnId)).toEqual([column.id]);
    expect(() => writeRows([column], batches, { rowIds: BigInt64Array.of(7n) }))
      .toThrow("1 ids for 3 rows");
  });

  test("keeps texts that repeat in a dictionary, and others not", async () => {
    const make = new ColumnMaker();
    const pair = [make.make("same", "varchar"), make.make("a.b", "varchar")];
    const rows = Array.from({ length: 2_000 }, (_, row) => row);
    const file = writeRows(pair, [{
      columns: pair,
      rows: 2_000,
      vectors: [rows.map((row) => `city ${row % 10}`), rows.map((row) => `name ${row}`)],
    }]);
    expect(await judge.sql(`SELECT encodings FROM parquet_metadata(${judge.keep(file.bytes)})`))
      .toEqual([
        { encodings: "PLAIN, RLE, RLE_DICTIONARY" },
        { encodings: "RLE, DELTA_LENGTH_BYTE_ARRAY" },
      ]);
  });

  test("leaves no memory behind", () => {
    const column = new ColumnMaker().make("text", "varchar");
    const values = Array.from({ length: 20_000 }, (_, row) => `text ${row}`.repeat(5));
    const write = () => writeColumn(column, values);
    for (let time = 0; time < 3; time++) write();
    const before = parquetMemoryBytes();
    for (let time = 0; time < 30; time++) write();
    expect(parquetMemoryBytes()).toBe(before);
  });
});

describe("what cannot be written", () => {
  const make = new ColumnMaker();

  test("is refused where only Parquet has no place for it", () => {
    const int128 = failureOf(() => writeColumn(make.make("n", "int128"), [2n ** 53n + 1n]));
    expect(int128.kind).toBe("invalid");
    expect(int128.message).toBe(
      "Cannot store n int128: 9007199254740993 would lose digits; " +
        "Parquet has no integers of 128 bits, only DOUBLE",
    );
    const seconds = failureOf(() => writeColumn(make.make("t", "timestamp_s"), [2n ** 50n]));
    expect(seconds.kind).toBe("invalid");
  });

  test("is too large beyond the limits of one file", () => {
    const boolean = make.make("b", "boolean");
    const many = new Array<LakeValue>(PARQUET_ROWS_MAX + 1).fill(null);
    expect(failureOf(() => writeColumn(boolean, many)).kind).toBe("too_large");
    const blob = new Uint8Array(33 * 1024 * 1024);
    const large = failureOf(() => writeColumn(make.make("x", "blob"), [blob, blob]));
    expect(large.kind).toBe("too_large");
    expect(large.message).toContain("at most 67108864");
  });

  test("is a bug where the column's type has no place for it", () => {
    const cases: readonly (readonly [Column, LakeValue])[] = [
      [make.make("c", "int8"), 128],
      [make.make("c", "int32"), 1.5],
      [make.make("c", "uint32"), -1],
      [make.make("c", "int64"), 2n ** 63n],
      [make.make("c", "int64"), 2 ** 53],
      [make.make("c", "uint64"), -1],
      [make.make("c", "uint64"), -1n],
      [make.make("c", "uint64"), 2n ** 64n],
      [make.make("c", ["decimal", 4, 2]), 10_000n],
      [make.make("c", ["decimal", 38, 0]), -(10n ** 38n)],
      [make.make("c", "boolean"), 1],
      [make.make("c", "varchar"), 1],
      [make.make("c", "uuid"), "ffffffff-ffff-ffff-ffff-fffffffffff"],
      [make.make("c", "uuid"), "ffffffff-ffff-ffff-ffff-ffffffffffFF"],
      [make.make("c", "blob"), "text"],
      [make.list("c", make.make("element", "int8")), 1],
      [make.make("c", "struct", [make.make("a", "int8")]), [1, 2]],
      [make.make("c", "map", [make.make("key", "int8"), make.make("value", "int8")]), [[null, 1]]],
      [make.make("c", "map", [make.make("key", "int8"), make.make("value", "int8")]), [null]],
    ];
    for (const [column, value] of cases) {
      expect(() => writeColumn(column, [null, value])).toThrow("assertion failed: a value of c");
    }
    expect(() => writeColumn({ ...make.make("c", "int8"), nullable: false }, [null]))
      .toThrow("assertion failed: c, which is not nullable, has 1 nulls");
  });
});
