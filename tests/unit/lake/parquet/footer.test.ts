import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { isFailure } from "../../../../src/base/failure.ts";
import { readFooter } from "../../../../src/lake/parquet/footer.ts";
import { writeRows } from "../../../../src/lake/parquet/write.ts";
import { ParquetJudge } from "../../../support/duckdb-parquet.ts";
import { SAMPLE_BATCH } from "../../../support/parquet-samples.ts";

let judge: ParquetJudge;
beforeAll(async () => {
  judge = await ParquetJudge.start();
});
afterAll(() => judge.stop());

const { columns } = SAMPLE_BATCH;

async function sizes(path: string) {
  const leaves = await judge.sql(`
    SELECT sum(num_values)::INTEGER AS values, sum(total_compressed_size)::INTEGER AS bytes
    FROM parquet_metadata(${path}) GROUP BY column_id ORDER BY column_id`);
  const [file] = await judge.sql(`
    SELECT num_rows::INTEGER AS rows, footer_size::INTEGER AS bytes
    FROM parquet_file_metadata(${path})`);
  return { leaves, file };
}

describe("a footer", () => {
  test("says what DuckDB reads in it, of our files and of DuckDB's", async () => {
    const ours = judge.keep(writeRows(columns, [SAMPLE_BATCH, SAMPLE_BATCH]).bytes);
    const theirs = judge.path();
    await judge.sql(`
      COPY (SELECT n, [n::VARCHAR] AS l FROM range(300000) t(n)) TO ${theirs}
      (FORMAT parquet, ROW_GROUP_SIZE 100000)`);
    for (const path of [ours, theirs]) {
      const footer = readFooter(readFileSync(path.slice(1, -1)));
      const { leaves, file } = await sizes(path);
      expect(footer.leaves).toEqual(leaves as never);
      expect({ rows: footer.rows, bytes: footer.end - footer.begin }).toEqual(file as never);
    }
  });

  test("gives the sizes that go into the catalog", async () => {
    const file = writeRows(columns, [SAMPLE_BATCH]);
    const found = await sizes(judge.keep(file.bytes));
    expect(file.statistics.map(({ values, bytes }) => ({ values, bytes })))
      .toEqual(found.leaves as never);
    expect({ rows: file.rows, bytes: file.footerBytes }).toEqual(found.file as never);
  });

  test("that is damaged or cut off is corrupt, wherever that is", () => {
    const { bytes, footerBytes } = writeRows(columns, [SAMPLE_BATCH]);
    const isCorrupt = (file: Uint8Array) => {
      try {
        readFooter(file);
        return false;
      } catch (error) {
        if (isFailure(error, "corrupt")) return true;
        throw error;
      }
    };
    expect(isCorrupt(bytes)).toBe(false);
    for (const length of [0, 4, 11, 12, bytes.length - 1]) {
      expect(isCorrupt(bytes.subarray(0, length))).toBe(true);
    }
    const begin = bytes.length - 8 - footerBytes;
    for (let at = begin; at < bytes.length - 8; at++) {
      const damaged = bytes.slice();
      damaged[at] = 0xff;
      // Damage within a name is none to the reader; it may only never hang or run away.
      isCorrupt(damaged);
    }
    const long = bytes.slice();
    new DataView(long.buffer).setUint32(long.length - 8, long.length, true);
    expect(isCorrupt(long)).toBe(true);
  });
});
