import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parquetMetadata } from "hyparquet";
import { readFileSync } from "node:fs";
import { readFooter } from "../../../../src/lake/parquet/footer.ts";
import { JoinedParquet } from "../../../../src/lake/parquet/joined.ts";
import { copyStruct, encodeInteger, encodeList } from "../../../../src/lake/parquet/thrift-copy.ts";
import { ThriftReader } from "../../../../src/lake/parquet/thrift.ts";
import { writeRows } from "../../../../src/lake/parquet/write.ts";
import { ParquetJudge } from "../../../support/duckdb-parquet.ts";
import { SAMPLE_BATCH } from "../../../support/parquet-samples.ts";

let judge: ParquetJudge;
beforeAll(async () => {
  judge = await ParquetJudge.start();
});
afterAll(() => judge.stop());

const { columns } = SAMPLE_BATCH;
const file = writeRows(columns, [SAMPLE_BATCH]).bytes;

function joined(files: readonly Uint8Array[]): Uint8Array {
  const whole = new JoinedParquet();
  const pages = files.map((file) => whole.add(file));
  return Buffer.concat([...pages, whole.end()]);
}

describe("a joined file", () => {
  // From 15 row groups on, a list says its length in another way.
  test.each([1, 2, 20])("of %d has every value of every type once each", async (count) => {
    const path = judge.keep(joined(Array.from({ length: count }, () => file)));
    const vectors = SAMPLE_BATCH.vectors.map((values) =>
      Array.from({ length: count }, () => values).flat()
    );
    expect(await judge.vectors(path, columns)).toEqual(vectors as never);
    const [said] = await judge.sql(`
      SELECT num_rows::INTEGER AS rows, num_row_groups::INTEGER AS groups
      FROM parquet_file_metadata(${path})`);
    expect(said).toEqual({ rows: count * SAMPLE_BATCH.rows, groups: count });
  });

  test("says the same of each row group as its own file, but for where it stands", async () => {
    const facts = `row_group_id::INTEGER AS id, column_id, stats_min, stats_max, encodings,
      total_compressed_size AS bytes, num_values, data_page_offset::BIGINT AS at`;
    const ask = (path: string) => judge.sql(`SELECT ${facts} FROM parquet_metadata(${path})`);
    const alone = await ask(judge.keep(file));
    const both = await ask(judge.keep(joined([file, file])));
    const pages = alone.reduce((sum, { bytes }) => sum + Number(bytes), 0);
    const moved = alone.map((row) => ({ ...row, id: 1, at: `${Number(row["at"]) + pages}` }));
    expect(both).toEqual([...alone, ...moved]);
  });

  test("numbers its row groups, and names no page index, which it has not", () => {
    const whole = joined([file, file, file]);
    const metadata = parquetMetadata(Uint8Array.from(whole).buffer);
    expect(metadata.row_groups.map(({ ordinal }) => ordinal)).toEqual([0, 1, 2]);
    const begins = metadata.row_groups.map(({ file_offset }) => Number(file_offset));
    const pages = readFooter(whole).begin - 4;
    expect(begins).toEqual([0, 1, 2].map((ordinal) => 4 + ordinal * pages / 3));
    for (const { columns } of metadata.row_groups) {
      for (const chunk of columns) {
        expect(chunk.column_index_offset).toBeUndefined();
        expect(chunk.offset_index_offset).toBeUndefined();
      }
    }
  });

  test("is no file before its end", () => {
    const whole = joined([file, file]);
    const rest = readFooter(whole).begin;
    expect(() => readFooter(whole.subarray(0, rest))).toThrow("Cannot read a Parquet file");
    expect(() => readFooter(whole.subarray(0, whole.length - 1))).toThrow("Cannot read");
  });

  test("takes files of one row group only", async () => {
    expect(() => new JoinedParquet().add(writeRows(columns, []).bytes)).toThrow("one row group");
    const path = judge.path();
    await judge.sql(`
      COPY (FROM range(5000)) TO ${path} (FORMAT parquet, ROW_GROUP_SIZE 2048)`);
    const several = readFileSync(path.slice(1, -1));
    expect(() => new JoinedParquet().add(several)).toThrow("one row group, not 3");
  });
});

describe("a struct of Thrift", () => {
  test("is copied byte by byte where nothing changes, in our footers and DuckDB's", async () => {
    const path = judge.path();
    await judge.sql(`
      COPY (SELECT n, [n::VARCHAR] AS l, n % 2 = 0 AS b FROM range(300000) t(n)) TO ${path}
      (FORMAT parquet, ROW_GROUP_SIZE 10000)`);
    for (const bytes of [file, readFileSync(path.slice(1, -1))]) {
      const { begin, end } = readFooter(bytes);
      const copy = copyStruct(new ThriftReader(bytes, begin), () => "copied");
      expect(Buffer.from(copy).equals(bytes.subarray(begin, end))).toBe(true);
    }
  });

  test("keeps the ids of its fields where one before them is dropped or changed", () => {
    // Fields 1, 3 and 20, of which the last has a header of its own: integers.
    const struct = Uint8Array.from([0x16, 2, 0x26, 4, 0x06, 40, 6, 0]);
    const seen = (bytes: Uint8Array) => {
      const reader = new ThriftReader(bytes, 0);
      const fields: number[][] = [];
      reader.wholeStruct(({ id }) => fields.push([id, reader.integer()]) > 0);
      expect(reader.at).toBe(bytes.length);
      return fields;
    };
    expect(seen(struct)).toEqual([[1, 1], [3, 2], [20, 3]]);
    const reader = new ThriftReader(struct, 0);
    const copy = copyStruct(reader, ({ id }) => {
      if (id === 1) return "dropped";
      if (id === 20) return "copied";
      return encodeInteger(reader.integer() + 2 ** 40);
    });
    expect(seen(copy)).toEqual([[3, 2 ** 40 + 2], [20, 3]]);
  });

  test.each([0, -1, 1, 63, 64, -64, -65, 2 ** 31, -(2 ** 31), 2 ** 40 + 1, 2 ** 52])(
    "has the integer %d as it was written",
    (value) => {
      expect(new ThriftReader(encodeInteger(value), 0).integer()).toBe(value);
    },
  );

  test.each([0, 14, 15, 200])("has a list of %d elements", (length) => {
    const values = Array.from({ length }, (_, index) => index);
    const reader = new ThriftReader(encodeList(6, values.map(encodeInteger)), 0);
    const read: number[] = [];
    reader.list(() => read.push(reader.integer()));
    expect(read).toEqual(values);
  });
});
