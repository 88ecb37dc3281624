import { expect, test } from "bun:test";
import { divideRows } from "../../../../src/lake/parquet/divide.ts";
import type { RowBatch } from "../../../../src/lake/rows.ts";
import { ColumnMaker } from "../../../support/lake-column.ts";

const column = new ColumnMaker().make("text", "varchar");

function batch(...values: readonly string[]): RowBatch {
  return { columns: [column], rows: values.length, vectors: [values] };
}

const ample = { rowsMax: 1_000, bytesMax: 1_000_000 };

test("batches that fit one file stay as they are", () => {
  const batches = [batch("a", "b"), batch("c")];
  expect(divideRows(batches)).toEqual([batches]);
  expect(divideRows([])).toEqual([]);
});

test("a file has at most so many rows, and batches stay whole where they can", () => {
  const [one, two, three] = [batch("a", "b"), batch("c", "d"), batch("e")];
  expect(divideRows([one, two, three], { ...ample, rowsMax: 3 })).toEqual([[one], [two, three]]);
  expect(divideRows([batch("a", "b", "c")], { ...ample, rowsMax: 2 }))
    .toEqual([[batch("a", "b")], [batch("c")]]);
});

test("a file has at most so many bytes, and a row that has more alone is a group alone", () => {
  const large = "x".repeat(500);
  // Each row takes its bytes and five for where it begins and whether it is null.
  const limits = { ...ample, bytesMax: 1_010 };
  expect(divideRows([batch(large, large, large)], limits))
    .toEqual([[batch(large, large)], [batch(large)]]);
  expect(divideRows([batch("a", large + large + large, "b")], limits))
    .toEqual([[batch("a")], [batch(large + large + large)], [batch("b")]]);
});
