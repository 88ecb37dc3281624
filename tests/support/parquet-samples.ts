/** One column of every type, with the values that go wrong first. */
import type { Column } from "../../src/lake/column.ts";
import type { LakeValue, RowBatch } from "../../src/lake/rows.ts";
import { ColumnMaker } from "./lake-column.ts";

const make = new ColumnMaker();

export interface Sample {
  readonly column: Column;
  readonly values: readonly LakeValue[];
  /** In DuckDB's words, what a reader of the file sees. */
  readonly duckdbType: string;
}

function sample(column: Column, duckdbType: string, ...values: readonly LakeValue[]): Sample {
  return { column, duckdbType, values };
}

const TEXTS = ["", "a", "ÿ", "\uffee", "😀", "\u{10ffff}", "a\u0000b"] as const;
const LOW = "00000000-0000-0000-0000-000000000000";
const HIGH = "ffffffff-ffff-ffff-ffff-ffffffffffff";

export const SAMPLES: readonly Sample[] = [
  sample(make.make("boolean", "boolean"), "BOOLEAN", true, null, false, true, true, null, true),
  sample(make.make("int8", "int8"), "TINYINT", -128, null, 127),
  sample(make.make("int16", "int16"), "SMALLINT", -32_768, null, 32_767),
  sample(make.make("int32", "int32"), "INTEGER", -(2 ** 31), null, 2 ** 31 - 1),
  sample(
    make.make("int64", "int64"),
    "BIGINT",
    ...[-(2n ** 63n), null, 2n ** 63n - 1n, 0, -1, Number.MIN_SAFE_INTEGER, 2n ** 53n],
  ),
  sample(make.make("int128", "int128"), "DOUBLE", -(2n ** 127n), null, 2n ** 126n, -7),
  sample(make.make("uint8", "uint8"), "UTINYINT", 0, null, 255),
  sample(make.make("uint16", "uint16"), "USMALLINT", 0, null, 65_535),
  sample(make.make("uint32", "uint32"), "UINTEGER", 0, null, 2 ** 32 - 1),
  sample(make.make("uint64", "uint64"), "UBIGINT", 2n ** 64n - 1n, null, 2n ** 63n, 0, 5),
  sample(
    make.make("float32", "float32"),
    "FLOAT",
    ...[NaN, -Infinity, null, Infinity, 1.5, Math.fround(3.4e38), -0],
  ),
  sample(
    make.make("float64", "float64"),
    "DOUBLE",
    ...[NaN, -Infinity, null, Infinity, Number.MAX_VALUE, Number.MIN_VALUE, -0],
  ),
  sample(make.make("date", "date"), "DATE", -719_528, null, 2_932_896, 0),
  sample(make.make("time", "time"), "TIME", 0n, null, 86_399_999_999n),
  sample(make.make("timestamp", "timestamp"), "TIMESTAMP", -(2n ** 62n), null, 2n ** 62n, 0n),
  sample(make.make("timestamp_s", "timestamp_s"), "TIMESTAMP", -(2n ** 42n), null, 2n ** 42n),
  sample(make.make("timestamp_ms", "timestamp_ms"), "TIMESTAMP", -(2n ** 52n), null, 2n ** 52n),
  sample(make.make("timestamp_ns", "timestamp_ns"), "TIMESTAMP_NS", -(2n ** 62n), null, 2n ** 62n),
  sample(
    make.make("timestamptz", "timestamptz"),
    "TIMESTAMP WITH TIME ZONE",
    ...[-(2n ** 57n), null, 2n ** 57n],
  ),
  sample(make.make("varchar", "varchar"), "VARCHAR", null, ...TEXTS),
  sample(make.make("json", "json"), "JSON", '{"a":[1,"😀"]}', null, "null", '""'),
  sample(
    make.make("uuid", "uuid"),
    "UUID",
    HIGH,
    null,
    LOW,
    "7fffffff-0000-4000-8000-0123456789ab",
  ),
  sample(make.make("blob", "blob"), "BLOB", new Uint8Array(), null, Uint8Array.of(0, 255, 128)),
  sample(make.make("small", ["decimal", 4, 2]), "DECIMAL(4,2)", -9_999n, null, 9_999n, 0n),
  sample(make.make("middle", ["decimal", 18, 0]), "DECIMAL(18,0)", 1n - 10n ** 18n, null, 42n),
  sample(
    make.make("large", ["decimal", 38, 38]),
    "DECIMAL(38,38)",
    ...[10n ** 38n - 1n, null, 1n - 10n ** 38n, 2n ** 64n, -1n],
  ),
  sample(
    make.list("list", make.list("element", make.make("element", "int32"))),
    "INTEGER[][]",
    ...[[], null, [null], [[]], [[1, null], [], null, [2]]],
  ),
  sample(
    make.list(
      "structs",
      make.make("element", "struct", [
        make.make("id", "uuid"),
        make.list("tags", make.make("element", "json")),
      ]),
    ),
    "STRUCT(id UUID, tags JSON[])[]",
    ...[[[HIGH, ["1"]], null, [null, []], [LOW, null]], [], null],
  ),
  sample(
    make.make("map", "map", [make.make("key", "varchar"), make.make("value", "float64")]),
    "MAP(VARCHAR, DOUBLE)",
    ...[[["", NaN], ["😀", null]], [], null, [["k", -Infinity]]],
  ),
];

/** Every sample as one column; shorter ones end in nulls. */
export const SAMPLE_BATCH: RowBatch = (() => {
  const rows = Math.max(...SAMPLES.map(({ values }) => values.length));
  return {
    columns: SAMPLES.map(({ column }) => column),
    rows,
    vectors: SAMPLES.map(({ values }) =>
      Array.from({ length: rows }, (_, at) => values[at] ?? null)
    ),
  };
})();

/** A column's own, and those of its children. */
export function columnTree(column: Column): readonly Column[] {
  return [column, ...column.children.flatMap(columnTree)];
}
