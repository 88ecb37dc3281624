/** A column of every type, and values of it that are easy to get wrong. */
import { DATE_INFINITY, TIMESTAMP_INFINITY } from "../../src/lake/catalog/time-text.ts";
import type { ColumnType, ColumnWish } from "../../src/lake/column.ts";
import type { LakeValue } from "../../src/lake/rows.ts";
import { wish } from "./lake-catalog.ts";

const TEXTS: readonly string[] = [
  "",
  "it's",
  "ü 😀 \u{10FFFF}",
  "NULL",
  "null",
  " leading and trailing ",
  'a"b\\c\\',
  "[x, y]",
  "{k=v, 'k': v}",
  "(1)",
  "line\nbreak\tand\rreturn",
  "\\x00",
  "1",
];

export const SAMPLES: readonly (readonly [ColumnType | string, readonly LakeValue[]])[] = [
  ["boolean", [true, false]],
  ["int8", [-128, 127, 0]],
  ["int16", [-32768, 32767]],
  ["int32", [-2147483648, 2147483647]],
  ["int64", [-(2n ** 63n), 2n ** 63n - 1n, 2 ** 53 - 1, -5]],
  ["int128", [-(2n ** 127n), 2n ** 127n - 1n, 0]],
  ["uint8", [0, 255]],
  ["uint16", [0, 65535]],
  ["uint32", [0, 4294967295]],
  ["uint64", [0, 2n ** 64n - 1n, 9]],
  ["float32", [
    Math.fround(0.1),
    Number.NaN,
    -0,
    1.401298464324817e-45,
    3.4028234663852886e38,
    -Infinity,
    16777216,
    Math.fround(1e-5),
  ]],
  ["float64", [
    0.1 + 0.2,
    Number.NaN,
    -0,
    5e-324,
    1.7976931348623157e308,
    Infinity,
    -Infinity,
    1e15,
    1e16,
    123456789012345680,
    0.0001,
    0.00001,
  ]],
  [{ name: "decimal", precision: 18, scale: 3 }, [-12345678n, 0n, 5n, 999999999999999999n]],
  [{ name: "decimal", precision: 38, scale: 10 }, [-(10n ** 38n) + 1n, 10n ** 38n - 1n, -1n]],
  [{ name: "decimal", precision: 4, scale: 0 }, [-9999n, 12n]],
  ["date", [0, -1, 19737, -2_000_000, 3_000_000, DATE_INFINITY, -DATE_INFINITY, -719_529]],
  ["time", [0n, 86_399_999_999n, 86_400_000_000n, 45_000_500_000n]],
  ["timestamp", [
    0n,
    -1n,
    1_705_321_800_123_456n,
    -(10n ** 17n),
    TIMESTAMP_INFINITY,
    -TIMESTAMP_INFINITY,
    400_000_000_000_000_000n,
  ]],
  ["timestamp_s", [0n, -1n, 1_705_321_800n, TIMESTAMP_INFINITY]],
  ["timestamp_ms", [0n, -1n, 1_705_321_800_100n]],
  ["timestamp_ns", [0n, -1n, 1_705_321_800_123_456_789n, -(9n * 10n ** 18n)]],
  ["timestamptz", [0n, -1n, 1_705_321_800_500_000n, -(10n ** 17n), TIMESTAMP_INFINITY]],
  ["varchar", TEXTS],
  ["json", ['{"a": [1, "it\'s"]}', "null", "[]"]],
  ["uuid", [
    "550e8400-e29b-41d4-a716-446655440000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "00000000-0000-0000-0000-000000000000",
  ]],
  ["blob", [new Uint8Array(), Uint8Array.of(0, 255, 39, 92, 97, 34)]],
];

export function samplesOf(name: string): readonly LakeValue[] {
  return SAMPLES.find(([type]) => type === name)?.[1] ?? [];
}

/** One column a sample, called `c0` and so on. */
export function sampleColumns(): readonly ColumnWish[] {
  return SAMPLES.map(([type], index) => wish(`c${index}`, type));
}

/** As many rows as the longest list of samples has; the last one has null everywhere. */
export function sampleRows(): readonly (readonly LakeValue[])[] {
  const longest = Math.max(...SAMPLES.map(([, values]) => values.length));
  return Array.from(
    { length: longest + 1 },
    (_, row) => SAMPLES.map(([, values]) => row < longest ? values[row] ?? null : null),
  );
}

/** Each sample inside a list, a struct and a map, and those in one another; no list of JSON. */
export function nestedColumns(): readonly ColumnWish[] {
  return SAMPLES.flatMap(([type], index) => [
    wish(`l${index}`, "list", wish("element", type === "json" ? "varchar" : type)),
    wish(`s${index}`, "struct", wish('it\'s a: "field"', type), wish("b", "varchar")),
    wish(
      `m${index}`,
      "map",
      wish("key", "varchar"),
      wish("value", "list", wish("element", "struct", wish("x", type))),
    ),
  ]);
}

export function nestedRows(): readonly (readonly LakeValue[])[] {
  const full = SAMPLES.flatMap(([, values]): LakeValue[] => [
    [...values, null],
    [values[0] ?? null, "x, y"],
    TEXTS.map((text, index) => [text, [[values[index % values.length] ?? null], null]]),
  ]);
  return [full, full.map(() => null), SAMPLES.flatMap((): LakeValue[] => [[], [null, null], []])];
}
