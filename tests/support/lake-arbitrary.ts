/** Any columns of a lake's table and any rows that fit them. */
import fc from "fast-check";
import type { Column, PlainType } from "../../src/lake/column.ts";
import { INTEGER_RANGES, integerValue } from "../../src/lake/ingest/digits.ts";
import type { LakeValue } from "../../src/lake/rows.ts";
import { column, decimal } from "./lake-columns.ts";

const PLAIN_TYPES: readonly PlainType[] = [
  ...(Object.keys(INTEGER_RANGES) as (keyof typeof INTEGER_RANGES)[]),
  "boolean",
  "float32",
  "float64",
  "date",
  "time",
  "timestamp",
  "timestamp_s",
  "timestamp_ms",
  "timestamp_ns",
  "timestamptz",
  "varchar",
  "json",
  "uuid",
  "blob",
];

const NAME = fc.oneof(
  { weight: 4, arbitrary: fc.string({ minLength: 1, maxLength: 8, unit: "grapheme" }) },
  { weight: 1, arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "a,b", '"') },
);

const SCALAR = fc.record({
  type: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...PLAIN_TYPES) },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 1, max: 38 }).chain((precision) =>
        fc.integer({ min: 0, max: precision }).map((scale) => decimal(precision, scale))
      ),
    },
  ),
  nullable: fc.boolean(),
});

function columnOf(depth: number, name: string): fc.Arbitrary<Column> {
  const scalar = SCALAR.map(({ type, nullable }) => column(name, type, { nullable }));
  if (depth === 0) return scalar;
  const options = (children: readonly Column[], nullable: boolean) => ({ children, nullable });
  const list = fc.tuple(columnOf(depth - 1, "element"), fc.boolean())
    .map(([element, nullable]) => column(name, { name: "list" }, options([element], nullable)));
  const struct = fc.tuple(columnsOf(depth - 1, 3), fc.boolean())
    .map(([fields, nullable]) => column(name, { name: "struct" }, options(fields, nullable)));
  const key = SCALAR.map(({ type }) => column("key", type, { nullable: false }));
  const map = fc.tuple(key, columnOf(depth - 1, "value"), fc.boolean())
    .map(([key, value, nullable]) =>
      column(name, { name: "map" }, options([key, value], nullable))
    );
  return fc.oneof({ weight: 5, arbitrary: scalar }, list, struct, map);
}

export function columnsOf(depth: number, max: number): fc.Arbitrary<readonly Column[]> {
  return fc.uniqueArray(NAME, {
    minLength: 1,
    maxLength: max,
    selector: (name) => name.toLowerCase(),
  })
    .chain((names) => fc.tuple(...names.map((name) => columnOf(depth, name))));
}

export function rowsFor(columns: readonly Column[]): fc.Arbitrary<LakeValue[][]> {
  return fc.array(fc.tuple(...columns.map(valueOf)), { maxLength: 8 });
}

function valueOf(of: Column): fc.Arbitrary<LakeValue> {
  const value = notNull(of);
  return of.nullable ? fc.option(value, { nil: null, freq: 4 }) : value;
}

function notNull({ type, children }: Column): fc.Arbitrary<LakeValue> {
  const name = type.name;
  if (name in INTEGER_RANGES) {
    return fc.bigInt(INTEGER_RANGES[name as keyof typeof INTEGER_RANGES]).map(integerValue);
  }
  switch (type.name) {
    case "decimal": {
      const max = 10n ** BigInt(type.precision) - 1n;
      return fc.bigInt({ min: -max, max });
    }
    case "list":
      return fc.array(valueOf(children[0]!), { maxLength: 3 });
    case "struct":
      return fc.tuple(...children.map(valueOf));
    case "map":
      return fc.uniqueArray(fc.tuple(...children.map(valueOf)), {
        maxLength: 3,
        selector: ([key]) => key instanceof Uint8Array ? key.toHex() : String(key),
      });
    default:
      return plain(type.name as PlainType);
  }
}

/** Years 0000 to 9999, which four digits can write. */
const SECONDS = { min: -62_167_219_200n, max: 253_402_300_799n };

function moments(perSecond: bigint): fc.Arbitrary<bigint> {
  return fc.bigInt({ min: SECONDS.min * perSecond, max: SECONDS.max * perSecond });
}

function plain(name: PlainType): fc.Arbitrary<LakeValue> {
  switch (name) {
    case "boolean":
      return fc.boolean();
    case "float32":
      return fc.float();
    case "float64":
      return fc.double();
    case "date":
      return fc.integer({ min: -719_528, max: 2_932_896 });
    case "time":
      return fc.bigInt({ min: 0n, max: 86_399_999_999n });
    case "timestamp_s":
      return moments(1n);
    case "timestamp_ms":
      return moments(1_000n);
    case "timestamp_ns":
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case "json":
      return fc.jsonValue().filter((value) => value !== null).map((value) => JSON.stringify(value));
    case "uuid":
      return fc.uuid();
    case "blob":
      return fc.uint8Array({ maxLength: 20 });
    case "varchar":
      return fc.string({ unit: "binary" }).map((text) => text.toWellFormed());
    default:
      return moments(1_000_000n);
  }
}
