/** Random columns and rows of a lake's table, for laws that hold for all of them. */
import fc from "fast-check";
import type { Column, ColumnType, PlainType } from "../../src/lake/column.ts";
import type { LakeValue, RowBatch } from "../../src/lake/rows.ts";
import { shortest } from "./duckdb-parquet.ts";

const integer = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
const unsigned = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });
const within = (limit: bigint) => fc.bigInt({ min: -limit, max: limit });
const real = fc.double().map((value) => Object.is(value, -0) ? 0 : value);
/** Without a byte order mark in front, which DuckDB's JavaScript API takes away in reading. */
const text = fc.string({ unit: "binary", maxLength: 12 })
  .map((value) => value.toWellFormed().replace(/^\ufeff+/, ""));
const wide = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -1000n, max: 1000n }),
);

/** Values that DuckDB, too, can hold and tell from its infinities. */
const PLAIN: Readonly<Record<PlainType, fc.Arbitrary<LakeValue>>> = {
  boolean: fc.boolean(),
  int8: integer(8),
  int16: integer(16),
  int32: integer(32),
  int64: wide.map(shortest),
  int128: within(2n ** 53n).map((value) => shortest(value * 2n ** 60n)),
  uint8: unsigned(8),
  uint16: unsigned(16),
  uint32: unsigned(32),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(shortest),
  float32: real.map(Math.fround).map((value) => Object.is(value, -0) ? 0 : value),
  float64: real,
  date: fc.integer({ min: -2_000_000, max: 2_000_000 }),
  time: fc.bigInt({ min: 0n, max: 86_399_999_999n }),
  timestamp: within(2n ** 62n),
  timestamp_s: within(2n ** 42n),
  timestamp_ms: within(2n ** 52n),
  timestamp_ns: within(2n ** 62n),
  timestamptz: within(2n ** 57n),
  varchar: text,
  json: fc.json({ maxDepth: 1 }).map((value) => value.toWellFormed()),
  uuid: fc.uuid(),
  blob: fc.uint8Array({ maxLength: 12 }),
};

interface Kind {
  readonly type: ColumnType;
  readonly children: readonly Kind[];
  readonly value: fc.Arbitrary<LakeValue>;
}

const plain: fc.Arbitrary<Kind> = fc.constantFrom(...Object.keys(PLAIN) as PlainType[])
  .map((name) => ({ type: { name }, children: [], value: nullable(PLAIN[name]) }));

const decimal: fc.Arbitrary<Kind> = fc.integer({ min: 1, max: 38 }).chain((precision) =>
  fc.integer({ min: 0, max: precision }).map((scale) => ({
    type: { name: "decimal", precision, scale },
    children: [],
    value: nullable(within(10n ** BigInt(precision) - 1n)),
  }))
);

const leaf = fc.oneof({ weight: 6, arbitrary: plain }, { weight: 1, arbitrary: decimal });

function nullable(value: fc.Arbitrary<LakeValue>): fc.Arbitrary<LakeValue> {
  return fc.option(value, { freq: 4 });
}

const { kind } = fc.letrec<{ kind: Kind; list: Kind; struct: Kind; map: Kind }>((tie) => ({
  kind: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    { weight: 4, arbitrary: leaf },
    tie("list"),
    tie("struct"),
    tie("map"),
  ),
  list: tie("kind").map((element): Kind => ({
    type: { name: "list" },
    children: [element],
    value: nullable(fc.array(element.value, { maxLength: 4 })),
  })),
  struct: fc.array(tie("kind"), { minLength: 1, maxLength: 3 }).map((fields): Kind => ({
    type: { name: "struct" },
    children: fields,
    value: nullable(fc.tuple(...fields.map((field) => field.value))),
  })),
  map: tie("kind").map((value): Kind => ({
    type: { name: "map" },
    children: [{ type: { name: "varchar" }, children: [], value: text }, value],
    value: nullable(
      fc.uniqueArray(fc.tuple(text, value.value), { maxLength: 3, selector: ([key]) => key }),
    ),
  })),
}));

/** Batches of the same one to five columns. */
export const rowBatches: fc.Arbitrary<readonly RowBatch[]> = fc
  .array(kind, { minLength: 1, maxLength: 5 })
  .chain((kinds) => {
    const columns = columnsOf(kinds, { id: 0 });
    const batch = fc.integer({ min: 0, max: 12 }).chain((rows) =>
      fc.tuple(
        ...kinds.map(({ value }) => fc.array(value, { minLength: rows, maxLength: rows })),
      ).map((vectors): RowBatch => ({ columns, rows, vectors }))
    );
    return fc.array(batch, { minLength: 1, maxLength: 3 });
  });

function columnsOf(kinds: readonly Kind[], last: { id: number }): readonly Column[] {
  return kinds.map(({ type, children }, index) => ({
    id: ++last.id,
    name: `c${index}`,
    type,
    nullable: true,
    children: columnsOf(children, last),
  }));
}
