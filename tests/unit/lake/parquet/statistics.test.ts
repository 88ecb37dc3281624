import { expect, test } from "bun:test";
import type { Column } from "../../../../src/lake/column.ts";
import { writeRows } from "../../../../src/lake/parquet/write.ts";
import type { ColumnStatistics, LakeValue } from "../../../../src/lake/rows.ts";
import { ColumnMaker } from "../../../support/lake-column.ts";

const make = new ColumnMaker();

/** Of a file with one batch for each of the lists. */
function statisticsOf(
  column: Column,
  ...batches: readonly (readonly LakeValue[])[]
): readonly ColumnStatistics[] {
  const columns = [column];
  return writeRows(
    columns,
    batches.map((values) => ({ columns, rows: values.length, vectors: [values] })),
  ).statistics;
}

function bounds(column: Column, ...values: readonly LakeValue[]): readonly LakeValue[] {
  const one = statisticsOf(column, values)[0]!;
  // One batch a value must come to the same.
  const many = statisticsOf(column, ...values.map((value) => [value]))[0]!;
  expect({ ...many, bytes: 0 }).toEqual({ ...one, bytes: 0 });
  return [one.min, one.max];
}

test("texts are ordered by their bytes, so that U+10000 is above U+FFFF", () => {
  const text = make.make("c", "varchar");
  expect(bounds(text, "\uffee", "😀")).toEqual(["\uffee", "😀"]);
  expect("\uffee" < "😀").toBe(false);
  expect(bounds(text, "ab", "a", null, "abc", "b")).toEqual(["a", "b"]);
  expect(bounds(text, "b", "", "ba")).toEqual(["", "ba"]);
  expect(bounds(make.make("c", "json"), "[2]", "[10]")).toEqual(["[10]", "[2]"]);
});

test("floats have no NaN in their bounds, and 0 and -0 are one", () => {
  for (const name of ["float32", "float64"] as const) {
    const float = make.make("c", name);
    expect(bounds(float, NaN, 1.5, null, -2)).toEqual([-2, 1.5]);
    expect(bounds(float, NaN, Infinity, -Infinity)).toEqual([-Infinity, Infinity]);
    expect(bounds(float, Infinity)).toEqual([Infinity, Infinity]);
    expect(bounds(float, NaN, null)).toEqual([null, null]);
    expect(statisticsOf(float, [NaN, 1])[0]!.nans).toBe(true);
    expect(statisticsOf(float, [1], [null])[0]!.nans).toBe(false);
    const [min, max] = bounds(float, -0);
    expect(Object.is(min, 0) && Object.is(max, 0)).toBe(true);
  }
});

test("wide integers are ordered by their sign, or have none", () => {
  const signed = make.make("c", "int64");
  expect(bounds(signed, 1, -1, 2n ** 62n)).toEqual([-1, 2n ** 62n]);
  expect(bounds(signed, -(2 ** 33), -(2 ** 33) - 1)).toEqual([-(2 ** 33) - 1, -(2 ** 33)]);
  expect(bounds(make.make("c", "uint64"), 1, 2n ** 64n - 1n, 2n ** 63n)).toEqual([
    1,
    2n ** 64n - 1n,
  ]);
  expect(bounds(make.make("c", "uint32"), 1, 2 ** 32 - 1)).toEqual([1, 2 ** 32 - 1]);
  const decimal = make.make("c", ["decimal", 38, 0]);
  expect(bounds(decimal, 2n ** 64n, -(2n ** 64n), 1n, -1n)).toEqual([-(2n ** 64n), 2n ** 64n]);
  expect(bounds(decimal, -1n, -2n)).toEqual([-2n, -1n]);
  expect(bounds(decimal, 2n ** 32n, 2n ** 31n)).toEqual([2n ** 31n, 2n ** 32n]);
});

test("each type's bounds are values of that type", () => {
  expect(bounds(make.make("c", "boolean"), true, true)).toEqual([true, true]);
  expect(bounds(make.make("c", "boolean"), null, true, false)).toEqual([false, true]);
  expect(bounds(make.make("c", "date"), -1, 5)).toEqual([-1, 5]);
  expect(bounds(make.make("c", "time"), 0n, 9n)).toEqual([0n, 9n]);
  expect(bounds(make.make("c", "timestamp_s"), -7n, 7n)).toEqual([-7n, 7n]);
  expect(bounds(make.make("c", "int128"), 2n ** 100n, -3)).toEqual([-3, 2n ** 100n]);
  const low = "0fffffff-0000-4000-8000-000000000000";
  const high = "f0000000-0000-4000-8000-000000000000";
  expect(bounds(make.make("c", "uuid"), high, low, null)).toEqual([low, high]);
  expect(bounds(make.make("c", "blob"), Uint8Array.of(1))).toEqual([null, null]);
});

test("a null list and an empty one are a place without a value, as DuckDB counts", () => {
  const element = make.make("element", "int32");
  const list = make.list("c", element);
  expect(statisticsOf(list, [[1, null, 3], [], null], [[-5]])).toMatchObject([
    { columnId: element.id, values: 6, nulls: 3, min: -5, max: 3 },
  ]);
});

test("a column's bytes are those of all its row groups", () => {
  const column = make.make("c", "int32");
  const values = Array.from({ length: 130_000 }, (_, row) => (row * 7919) % 1_000_003);
  const whole = statisticsOf(column, values)[0]!;
  const first = statisticsOf(column, values.slice(0, 122_880))[0]!;
  const rest = statisticsOf(column, values.slice(122_880))[0]!;
  expect(whole.bytes).toBe(first.bytes + rest.bytes);
  expect(whole.values).toBe(130_000);
});
