import { expect, test } from "bun:test";
import * as arrow from "apache-arrow";
import type { Column } from "../../../../src/lake/column.ts";
import type { LakeValue } from "../../../../src/lake/rows.ts";
import { column, decimal, list } from "../../../support/lake-columns.ts";
import { refusal, rowsOf } from "../../../support/lake-rows.ts";

/** A stream of one column "c" with these buffers. */
function stream(
  type: arrow.DataType,
  values: ArrayBufferView,
  metadata?: Map<string, string>,
): Uint8Array {
  const length = values.byteLength / widthOf(type);
  const child = new arrow.Data(type, 0, length, 0, [undefined, values] as never);
  return streamOf(child, metadata);
}

function streamOf(child: arrow.Data, metadata?: Map<string, string>): Uint8Array {
  const schema = new arrow.Schema([new arrow.Field("c", child.type, true, metadata)]);
  const type = new arrow.Struct(schema.fields);
  const batch = new arrow.RecordBatch(
    schema,
    arrow.makeData({ type, length: child.length, children: [child] }),
  );
  return arrow.tableToIPC(new arrow.Table([batch]), "stream");
}

function widthOf(type: arrow.DataType): number {
  if (arrow.DataType.isDecimal(type) || arrow.DataType.isFixedSizeBinary(type)) return 16;
  return type.ArrayType.BYTES_PER_ELEMENT;
}

async function values(of: Column, bytes: Uint8Array): Promise<LakeValue[]> {
  return (await rowsOf(bytes, "arrow", [of])).map(([value]) => value!);
}

test("units and widths become those of the column, exactly", async () => {
  const i64 = (...numbers: bigint[]) => BigInt64Array.from(numbers);
  const cases: readonly (readonly [Column, Uint8Array, readonly LakeValue[]])[] = [
    [column("c", "time"), stream(new arrow.TimeMillisecond(), Int32Array.of(1)), [1_000n]],
    [column("c", "time"), stream(new arrow.TimeSecond(), Int32Array.of(2)), [2_000_000n]],
    [column("c", "date"), stream(new arrow.DateMillisecond(), i64(-86_400_000n)), [-1]],
    [column("c", "timestamp"), stream(new arrow.TimestampSecond(), i64(-3n)), [-3_000_000n]],
    [column("c", "timestamptz"), stream(new arrow.TimestampNanosecond("UTC"), i64(5_000n)), [5n]],
    [column("c", "timestamp_ns"), stream(new arrow.TimestampNanosecond(), i64(7n)), [7n]],
    [column("c", "float32"), stream(new arrow.Float16(), Uint16Array.of(0x3c00)), [1]],
    [column("c", "int64"), stream(new arrow.Uint32(), Uint32Array.of(2 ** 32 - 1)), [2 ** 32 - 1]],
    [column("c", "int128"), stream(new arrow.Int64(), i64(2n ** 62n)), [2n ** 62n]],
    [
      column("c", decimal(9, 4)),
      stream(new arrow.Decimal(2, 7, 128), Uint32Array.of(150, 0, 0, 0)),
      [15_000n],
    ],
  ];
  for (const [of, bytes, expected] of cases) expect(await values(of, bytes)).toEqual([...expected]);
});

test("a moment that the column's unit cannot say is refused", async () => {
  const tooFine = stream(new arrow.TimestampNanosecond("UTC"), BigInt64Array.of(5_000n, 1n));
  expect(await refusal(tooFine, "arrow", [column("c", "timestamptz")])).toMatchObject({
    kind: "invalid",
    message:
      'Cannot take row 2: column "c" is "1/1000000000 s"; allowed: a timestamptz that keeps every digit',
  });
  const tooFar = stream(new arrow.TimestampSecond(), BigInt64Array.of(2n ** 62n));
  expect(await refusal(tooFar, "arrow", [column("c", "timestamp")]))
    .toMatchObject({ kind: "invalid", details: { row: 1, column: "c" } });
});

test("sixteen bytes are a UUID when they say so, and else a blob", async () => {
  const bytes = Uint8Array.from({ length: 16 }, (_, at) => at);
  const uuid = new Map([["ARROW:extension:name", "arrow.uuid"]]);
  const type = new arrow.FixedSizeBinary(16);
  expect(await values(column("c", "uuid"), stream(type, bytes, uuid)))
    .toEqual(["00010203-0405-0607-0809-0a0b0c0d0e0f"]);
  expect(await values(column("c", "blob"), stream(type, bytes))).toEqual([bytes]);
  expect(await refusal(stream(type, bytes), "arrow", [column("c", "uuid")]))
    .toMatchObject({ message: expect.stringContaining("allowed: what fits uuid") });
});

test("texts in a column of UUIDs or JSON are checked one by one", async () => {
  const texts = (...of: string[]) => streamOf(arrow.vectorFromArray(of, new arrow.Utf8()).data[0]!);
  expect(await values(column("c", "json"), texts('{ "a": 1 }', "null"))).toEqual(['{"a":1}', null]);
  expect(await refusal(texts("{}", "{"), "arrow", [column("c", "json")]))
    .toMatchObject({
      message: expect.stringMatching(/^Cannot take row 2: column "c" is not JSON: /),
    });
  expect(await refusal(texts("x"), "arrow", [column("c", "uuid")]))
    .toMatchObject({ message: expect.stringContaining('column "c" is "x"; allowed: a UUID') });
});

test("lists of a fixed size are lists, a column of nulls alone is NULL in any column", async () => {
  const child = arrow.vectorFromArray([1, 2, 3, 4], new arrow.Int32()).data[0]!;
  const type = new arrow.FixedSizeList(2, new arrow.Field("item", child.type, true));
  const pairs = new arrow.Data(type, 0, 2, 0, [] as never, [child]);
  expect(await values(list("c", "int32"), streamOf(pairs))).toEqual([[1, 2], [3, 4]]);
  const nulls = streamOf(new arrow.Data(new arrow.Null(), 0, 2, 2));
  expect(await values(column("c", "int64"), nulls)).toEqual([null, null]);
  expect(await refusal(nulls, "arrow", [column("c", "int64", { nullable: false })]))
    .toMatchObject({ message: 'Cannot take row 1: column "c" is null and must have a value' });
});
