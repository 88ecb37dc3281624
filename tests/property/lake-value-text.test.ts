import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isLess, orderOf } from "../../src/lake/catalog/text-order.ts";
import { DATE_INFINITY, dateText, timestampText } from "../../src/lake/catalog/time-text.ts";
import {
  parseStatistic,
  parseValue,
  statisticText,
  valueText,
} from "../../src/lake/catalog/value-text.ts";
import type { Column, ColumnType } from "../../src/lake/column.ts";
import type { LakeValue } from "../../src/lake/rows.ts";

const whole = (bits: number, isSigned: boolean) =>
  fc.bigInt(
    isSigned ? { min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n } : {
      min: 0n,
      max: 2n ** BigInt(bits) - 1n,
    },
  ).map((value) =>
    value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
  );
const ticks = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n });
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom("'", '"', "\\", ",", "[", "]", "{", "}", "=", ":", " ", "N", "x"),
  }),
).map((value) => value.toWellFormed());

const PLAIN: readonly (readonly [ColumnType, fc.Arbitrary<LakeValue>])[] = [
  [{ name: "boolean" }, fc.boolean()],
  [{ name: "int8" }, whole(8, true)],
  [{ name: "int64" }, whole(64, true)],
  [{ name: "int128" }, whole(128, true)],
  [{ name: "uint64" }, whole(64, false)],
  [{ name: "float32" }, fc.float()],
  [{ name: "float64" }, fc.double()],
  [
    { name: "decimal", precision: 38, scale: 10 },
    fc.bigInt({ min: -(10n ** 37n), max: 10n ** 37n }),
  ],
  [{ name: "decimal", precision: 9, scale: 9 }, fc.bigInt({ min: -999n, max: 999999999n })],
  [
    { name: "date" },
    fc.oneof(
      fc.integer({ min: -5_000_000, max: 5_000_000 }),
      fc.constantFrom(DATE_INFINITY, -DATE_INFINITY),
    ),
  ],
  [{ name: "time" }, fc.bigInt({ min: 0n, max: 86_400_000_000n })],
  [{ name: "timestamp" }, ticks],
  [{ name: "timestamptz" }, ticks],
  [{ name: "timestamp_s" }, fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n })],
  [{ name: "timestamp_ms" }, fc.bigInt({ min: -(2n ** 50n), max: 2n ** 50n })],
  [{ name: "timestamp_ns" }, ticks],
  [{ name: "varchar" }, text],
  [{ name: "uuid" }, fc.uuid()],
  [{ name: "blob" }, fc.uint8Array({ maxLength: 40 })],
];

function column(type: ColumnType, ...children: Column[]): Column {
  return { id: 1, name: 'it\'s: "a"', type, nullable: true, children };
}

describe("a value's text", () => {
  for (const [type, values] of PLAIN) {
    test(`gives back the same ${type.name}`, () => {
      fc.assert(fc.property(values, (value) => {
        if (value === null) return;
        expect(parseValue(valueText(value, column(type)), column(type))).toEqual(value);
      }));
    });

    test(`gives back the same ${type.name} inside of lists, structs and maps`, () => {
      const key = { ...column({ name: "varchar" }), name: "key" };
      const nested = column(
        { name: "list" },
        column({ name: "struct" }, column(type), column({ name: "map" }, key, column(type))),
      );
      const item = fc.option(values);
      const value = fc.array(fc.option(fc.tuple(item, fc.option(fc.array(fc.tuple(text, item))))));
      fc.assert(fc.property(value, (value) => {
        expect(parseValue(valueText(value as LakeValue[], nested), nested)).toEqual(
          value as LakeValue[],
        );
      }));
    });
  }

  test("of a date is the calendar's", () => {
    fc.assert(fc.property(fc.integer({ min: -719_000, max: 2_932_000 }), (days) => {
      expect(dateText(days)).toBe(new Date(days * 86_400_000).toISOString().slice(0, 10));
    }));
  });

  test("of a timestamp is the calendar's", () => {
    fc.assert(
      fc.property(fc.integer({ min: -62_000_000_000_000, max: 250_000_000_000_000 }), (ms) => {
        const expected = new Date(ms).toISOString().replace("T", " ")
          .replace(/\.(\d*?)0*Z$/, (_, digits) => digits === "" ? "" : `.${digits}`);
        expect(timestampText(BigInt(ms), 1000n)).toBe(expected);
      }),
    );
  });

  test("is corrupt, never wrong or endless, when it is any text", () => {
    const types = PLAIN.map(([type]) => column(type));
    const nested = types.map((child) => column({ name: "list" }, child));
    fc.assert(fc.property(text, fc.constantFrom(...types, ...nested), (text, of) => {
      try {
        parseValue(text, of);
      } catch (error) {
        expect(error).toMatchObject({ kind: "corrupt" });
      }
    }));
  });
});

describe("the order of statistics in SQL", () => {
  for (const [type, values] of PLAIN) {
    if (type.name === "int128") continue;
    test(`is that of ${type.name}`, () => {
      using database = new Database(":memory:");
      using statement = database.prepare(
        `SELECT ${isLess(`'${orderOf(type)}'`, ":a", ":b")} AS less`,
      );
      const there = values.filter((value) => !Number.isNaN(value) && !Object.is(value, -0));
      fc.assert(fc.property(there, there, (a, b) => {
        const [aText, bText] = [statisticText(a, type, "min"), statisticText(b, type, "min")];
        const row = statement.get({ ":a": aText, ":b": bText } as never) as { less: number };
        expect([aText, bText, row.less === 1]).toEqual([aText, bText, key(a) < key(b)]);
        if (aText !== null) expect(parseStatistic(aText, type)).toEqual(a);
      }));
    });
  }

  function key(value: LakeValue): string | number | bigint {
    if (typeof value === "string") return Buffer.from(value).toString("hex");
    return value instanceof Uint8Array ? value.toHex() : value as number;
  }
});
