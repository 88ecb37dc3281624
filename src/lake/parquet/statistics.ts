/** What a file's columns hold, for the catalog: counted and compared in Arrow's bytes. */
import type { Data } from "apache-arrow";
import { assert } from "../../base/assert.ts";
import type { Column } from "../column.ts";
import type { ColumnStatistics, LakeValue } from "../rows.ts";
import { child } from "./arrow-field.ts";
import {
  booleanExtremes,
  type Bound,
  byteExtremes,
  type Extremes,
  isBelow,
  numberExtremes,
  wideExtremes,
} from "./extremes.ts";
import type { FooterLeaf } from "./footer.ts";
import { elementPresence, type Presence, presence, presentCount } from "./presence.ts";

const MICROSECONDS = 1_000_000n;
/** A byte order mark is a part of the text. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** Of one column without children, over any number of vectors. */
interface LeafSummary {
  readonly column: Column;
  places: number;
  present: number;
  min: Bound | null;
  max: Bound | null;
  nans: boolean;
}

const NOTHING = { places: 0, present: 0, min: null, max: null, nans: false } as const;

export class Summary {
  readonly #columns: readonly Column[];
  /** Depth first, as in a Parquet schema. */
  readonly #leaves: LeafSummary[] = [];
  #next = 0;

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
    this.#collect(columns);
  }

  #collect(columns: readonly Column[]): void {
    for (const column of columns) {
      if (column.children.length > 0) this.#collect(column.children);
      else this.#leaves.push({ column, ...NOTHING });
    }
  }

  /** `vectors` has one for each of the columns, of the same length. */
  add(vectors: readonly Data[]): void {
    this.#next = 0;
    for (const [index, column] of this.#columns.entries()) {
      this.#visit(column, vectors[index], undefined);
    }
  }

  #visit(column: Column, data: Data | undefined, around: Presence): void {
    assert(data !== undefined, `there is a vector for ${column.name}`);
    const present = presence(data, around);
    switch (column.type.name) {
      case "list":
        this.#visitElements([child(column, 0)], data, present, data.children);
        break;
      case "map":
        this.#visitElements(column.children, data, present, data.children[0]?.children ?? []);
        break;
      case "struct":
        for (const [index, field] of column.children.entries()) {
          this.#visit(field, data.children[index], present);
        }
        break;
      default:
        this.#addLeaf(column, data, present);
    }
  }

  #visitElements(
    columns: readonly Column[],
    data: Data,
    present: Presence,
    children: readonly Data[],
  ): void {
    const elements = elementPresence(data, present, data.children[0]?.length ?? 0);
    for (const [index, column] of columns.entries()) this.#visit(column, children[index], elements);
  }

  #addLeaf(column: Column, data: Data, present: Presence): void {
    const leaf = this.#leaves[this.#next++];
    assert(leaf?.column === column, `the vector of ${column.name} is in its place`);
    leaf.places += data.length;
    leaf.present += presentCount(present, data.length);
    const { min, max, nans } = extremes(column, data, present);
    if (min !== null && (leaf.min === null || isBelow(min, leaf.min))) leaf.min = min;
    if (max !== null && (leaf.max === null || isBelow(leaf.max, max))) leaf.max = max;
    leaf.nans ||= nans;
  }

  /** With what only a file knows, if there is one: how many places and bytes its columns have. */
  statistics(leaves?: readonly FooterLeaf[]): readonly ColumnStatistics[] {
    return this.#leaves.map(({ column, places, present, min, max, nans }, index) => {
      // A file without row groups has no columns in them either.
      const inFile = leaves?.[index] ?? { values: 0, bytes: 0 };
      const { values, bytes } = leaves === undefined ? { values: places, bytes: 0 } : inFile;
      const nulls = values - present;
      assert(nulls >= 0, `${column.name} has ${present} values in ${values} places`);
      return {
        columnId: column.id,
        values,
        nulls,
        nans,
        min: lakeValue(column, min),
        max: lakeValue(column, max),
        bytes,
      };
    });
  }
}

function extremes(column: Column, data: Data, present: Presence): Extremes {
  switch (column.type.name) {
    case "boolean":
      return booleanExtremes(data, present);
    case "int8":
    case "int16":
    case "int32":
    case "uint8":
    case "uint16":
    case "uint32":
    case "date":
    case "float32":
    case "float64":
    case "int128":
      return numberExtremes(data, present);
    case "varchar":
    case "json":
      return byteExtremes(data, present);
    case "uuid":
      return byteExtremes(data, present, 16);
    case "decimal":
      return wideExtremes(data, present, 128);
    case "blob":
    case "list":
    case "struct":
    case "map":
      return { min: null, max: null, nans: false };
    default:
      return wideExtremes(data, present, 64);
  }
}

/** As `LakeValue` says for the column's type. */
function lakeValue(column: Column, bound: Bound | null): LakeValue {
  if (bound === null) return null;
  const { name } = column.type;
  if (bound instanceof Uint8Array) {
    return name === "uuid" ? uuidText(bound) : decoder.decode(bound);
  }
  if (name === "int128" && typeof bound === "number") return shortest(BigInt(bound));
  if (name === "timestamp_s" && typeof bound === "bigint") return bound / MICROSECONDS;
  const isInteger = name === "int64" || name === "uint64";
  return isInteger && typeof bound === "bigint" ? shortest(bound) : bound;
}

function shortest(integer: bigint): number | bigint {
  return integer >= -SAFE_MAX && integer <= SAFE_MAX ? Number(integer) : integer;
}

function uuidText(bytes: Uint8Array): string {
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
