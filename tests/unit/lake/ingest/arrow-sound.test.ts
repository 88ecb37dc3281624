import { expect, test } from "bun:test";
import * as arrow from "apache-arrow";
import { checkSound, decimalAt, Unsound } from "../../../../src/lake/ingest/arrow-sound.ts";

interface Parts {
  readonly nulls?: number;
  readonly offsets?: Int32Array;
  readonly values?: ArrayBufferView;
  readonly bitmap?: Uint8Array;
  readonly children?: arrow.Data[];
}

function data(type: arrow.DataType, length: number, parts: Parts): arrow.Data {
  const { nulls = 0, offsets, values, bitmap, children = [] } = parts;
  return new arrow.Data(type, 0, length, nulls, [offsets, values, bitmap] as never, children);
}

function unsound(found: arrow.Data): Unsound {
  try {
    checkSound(found);
  } catch (error) {
    if (error instanceof Unsound) return error;
  }
  throw new Error("it is sound");
}

const TEXT = Buffer.from("aébc");
const utf8 = (offsets: number[], values: Uint8Array = TEXT) =>
  data(new arrow.Utf8(), offsets.length - 1, { offsets: Int32Array.from(offsets), values });

test("offsets in order and within the text are sound; others are not", () => {
  checkSound(utf8([0, 1, 3, 3, 5]));
  checkSound(utf8([0, 0, 0]));
  expect(unsound(utf8([0, 3, 1]))).toMatchObject({
    index: 1,
    message: "an offset is before the last one",
  });
  expect(unsound(utf8([-1, 1]))).toMatchObject({ index: 0, message: "an offset is negative" });
  expect(unsound(utf8([0, 6]))).toMatchObject({ message: "a buffer has 5 values of 6" });
  const short = data(new arrow.Utf8(), 3, { offsets: Int32Array.of(0, 1), values: TEXT });
  expect(unsound(short).message).toBe("a buffer has 2 values of 4");
});

test("a value that begins or ends within a character is not UTF-8", () => {
  expect(unsound(utf8([0, 1, 2, 5]))).toMatchObject({ index: 1, message: "it is not UTF-8" });
  expect(unsound(utf8([2, 5]))).toMatchObject({ index: 0, message: "it is not UTF-8" });
  expect(unsound(utf8([0, 1, 2], Buffer.from([97, 0xff])))).toMatchObject({ index: 1 });
  // What no value covers may be anything.
  checkSound(utf8([0, 1], Buffer.from([97, 0xff])));
});

test("the count of nulls is that of the bitmap", () => {
  const values = Int32Array.of(1, 2, 3);
  const nulls = (count: number, bitmap: Uint8Array) =>
    data(new arrow.Int32(), 3, { values, nulls: count, bitmap });
  checkSound(nulls(1, Uint8Array.of(0b101)));
  expect(unsound(nulls(2, Uint8Array.of(0b101))).message).toBe("1 values are null, not 2");
  expect(unsound(nulls(1, new Uint8Array(0))).message).toBe("a buffer has 0 values of 3");
});

test("a buffer of numbers, bits or fixed bytes has as many as there are rows", () => {
  const cases = [
    [new arrow.Int64(), new BigInt64Array(1), 2],
    [new arrow.Float16(), new Uint16Array(1), 2],
    [new arrow.DateDay(), new Int32Array(1), 2],
    [new arrow.Bool(), new Uint8Array(1), 9],
    [new arrow.FixedSizeBinary(3), new Uint8Array(5), 2],
    [new arrow.Decimal(0, 5, 128), new Uint32Array(4), 2],
  ] as const;
  for (const [type, values, length] of cases) {
    expect(unsound(data(type, length, { values })).message).toStartWith("a buffer has ");
    checkSound(data(type, 1, { values }));
  }
});

test("a decimal has at most the digits of its type, a time is one of a day, a date starts one", () => {
  const decimals = (...words: number[]) =>
    data(new arrow.Decimal(0, 2, 128), words.length / 4, { values: Uint32Array.from(words) });
  const max = 0xffff_ffff;
  checkSound(decimals(99, 0, 0, 0, -99 >>> 0, max, max, max));
  expect(unsound(decimals(1, 0, 0, 0, 100, 0, 0, 0))).toMatchObject({ index: 1 });
  expect(unsound(decimals(-100 >>> 0, max, max, max)).message).toBe("it has more than 2 digits");
  expect(decimalAt(Uint32Array.of(0, 0, 0, 0x8000_0000), 0)).toBe(-(2n ** 127n));
  const day = 86_400_000_000n;
  const times = (value: bigint) =>
    data(new arrow.TimeMicrosecond(), 1, { values: BigInt64Array.of(value) });
  checkSound(times(day - 1n));
  expect(unsound(times(day)).message).toBe("it is no time of a day");
  expect(unsound(times(-1n)).message).toBe("it is no time of a day");
  const noon = data(new arrow.DateMillisecond(), 1, { values: BigInt64Array.of(43_200_000n) });
  expect(unsound(noon).message).toBe("it is not the start of a day");
});

test("an index beyond the dictionary is wrong unless its value is null", () => {
  const type = new arrow.Dictionary(new arrow.Utf8(), new arrow.Int32());
  const of = (indexes: number[], nulls: number, bitmap: number, values = utf8([0, 1])) =>
    new arrow.Data(
      type,
      0,
      indexes.length,
      nulls,
      [undefined, Int32Array.from(indexes), Uint8Array.of(bitmap)] as never,
      [],
      new arrow.Vector([values]),
    );
  checkSound(of([0, 7], 1, 0b01));
  expect(unsound(of([0, 1], 0, 0b11))).toMatchObject({
    index: 1,
    message: "it is number 1 of a dictionary of 1 values",
  });
  expect(unsound(of([-1], 0, 1))).toMatchObject({ index: 0 });
  expect(unsound(of([0], 0, 1, utf8([0, 2]))).message).toBe("its dictionary: it is not UTF-8");
});

test("what is wrong within a list is the fault of the row that holds it", () => {
  const child = utf8([0, 1, 2, 5]);
  const field = new arrow.Field("item", child.type, true);
  const lists = (offsets: number[]) =>
    data(new arrow.List(field), offsets.length - 1, {
      offsets: Int32Array.from(offsets),
      children: [child],
    });
  expect(unsound(lists([0, 1, 1, 3]))).toMatchObject({ index: 2, message: "it is not UTF-8" });
  expect(unsound(lists([0, 4])).message).toBe("a buffer has 3 values of 4");
  const pairs = data(new arrow.FixedSizeList(2, field), 1, { children: [child] });
  expect(unsound(pairs)).toMatchObject({ index: 0 });
  const struct = data(new arrow.Struct([field]), 4, { children: [child] });
  expect(unsound(struct).message).toBe("a buffer has 3 values of 4");
});
