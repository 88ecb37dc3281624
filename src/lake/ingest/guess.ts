/** What type values have so far, and what type has all of them. */
import { COLUMN_DEPTH_MAX, COLUMNS_MAX } from "../../base/lake-limits.ts";
import type { ColumnType, ColumnWish, PlainType } from "../column.ts";
import { INTEGER_RANGES, integerOf } from "./digits.ts";
import { isLongNumber } from "./exact-json.ts";
import { isObject } from "./json-nested.ts";
import { dateOf, timestampOf } from "./moments.ts";
import { nameProblem } from "./column-names.ts";

type Scalar =
  | "boolean"
  | "int64"
  | "int128"
  | "float64"
  | "date"
  | "timestamp"
  | "timestamptz"
  | "varchar"
  | "json";

/** `null` is what nothing but NULL has been seen of. */
export type Guess =
  | { readonly kind: "null" }
  | { readonly kind: Scalar }
  | { readonly kind: "list"; readonly element: Guess }
  | { readonly kind: "struct"; readonly fields: ReadonlyMap<string, Guess> };

export const NOTHING: Guess = { kind: "null" };

const NUMBERS: readonly string[] = ["int64", "int128", "float64"];
const STRINGS: readonly string[] = ["date", "timestamp", "timestamptz", "varchar"];

/** Of a value whose numbers are `LongNumber`s. */
export function guessOfJson(value: unknown, depth = 1): Guess {
  if (value === null) return NOTHING;
  if (typeof value === "string") return { kind: stringKind(value) };
  if (typeof value === "boolean") return { kind: "boolean" };
  if (isLongNumber(value)) return { kind: numberKind(value.rawJSON) };
  // Deeper than a column may be: kept as it is.
  if (depth >= COLUMN_DEPTH_MAX) return { kind: "json" };
  if (Array.isArray(value)) {
    let element = NOTHING;
    for (const item of value) element = joined(element, guessOfJson(item, depth + 1), "json");
    return { kind: "list", element };
  }
  if (!isObject(value)) return { kind: "json" };
  const fields = new Map<string, Guess>();
  for (const [name, field] of Object.entries(value)) {
    fields.set(name, guessOfJson(field, depth + 1));
  }
  return { kind: "struct", fields };
}

const CSV_INTEGER = /^(?:0|-?[1-9]\d*)$/;
const CSV_FLOAT = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** "007" is no number: its zeros would be lost; nor is an integer beyond 128 bits. */
export function guessOfText(text: string): Guess {
  if (CSV_INTEGER.test(text)) return { kind: integerKind(text) ?? "varchar" };
  if (CSV_FLOAT.test(text) && Number.isFinite(Number(text))) return { kind: "float64" };
  if (/^(?:NaN|-?Infinity)$/.test(text)) return { kind: "float64" };
  return { kind: /^(?:true|false)$/i.test(text) ? "boolean" : stringKind(text) };
}

function stringKind(text: string): Scalar {
  if (dateOf(text) !== null) return "date";
  if (timestampOf(text, 6, false) !== null) return "timestamp";
  return timestampOf(text, 6, true) === null ? "varchar" : "timestamptz";
}

function numberKind(text: string): Scalar {
  return (/^-?\d+$/.test(text) ? integerKind(text) : null) ?? "float64";
}

function integerKind(text: string): "int64" | "int128" | null {
  if (integerOf(text, INTEGER_RANGES.int64) !== null) return "int64";
  return integerOf(text, INTEGER_RANGES.int128) === null ? null : "int128";
}

/** What takes both; `mixed` is what takes everything in the format. */
export function joined(one: Guess, other: Guess, mixed: "json" | "varchar"): Guess {
  if (one.kind === "null") return other;
  if (other.kind === "null") return one;
  if (one.kind === "list" && other.kind === "list") {
    return { kind: "list", element: joined(one.element, other.element, mixed) };
  }
  if (one.kind === "struct" && other.kind === "struct") {
    const fields = new Map(one.fields);
    for (const [name, field] of other.fields) {
      fields.set(name, joined(fields.get(name) ?? NOTHING, field, mixed));
    }
    // So many names are keys of data, not fields.
    return fields.size > COLUMNS_MAX ? { kind: "json" } : { kind: "struct", fields };
  }
  if (one.kind === other.kind) return one;
  if (NUMBERS.includes(one.kind) && NUMBERS.includes(other.kind)) {
    const either = one.kind === "float64" || other.kind === "float64";
    return { kind: either ? "float64" : "int128" };
  }
  if (STRINGS.includes(one.kind) && STRINGS.includes(other.kind)) return { kind: "varchar" };
  return { kind: mixed };
}

/** A column is nullable: that no NULL was seen says nothing about later rows. */
export function wishOf(name: string, guess: Guess): ColumnWish {
  switch (guess.kind) {
    case "null":
      return wish(name, { name: "varchar" });
    case "list":
      return wish(name, { name: "list" }, [wishOf("element", guess.element)]);
    case "struct": {
      const children = [...guess.fields].map(([field, inner]) => wishOf(field, inner));
      // An object without fields, or with names that no columns may have, is kept as it is.
      const json = children.length === 0 || nameProblem([...guess.fields.keys()]) !== null;
      return json ? wish(name, { name: "json" }) : wish(name, { name: "struct" }, children);
    }
    default:
      return wish(name, { name: guess.kind satisfies PlainType });
  }
}

function wish(name: string, type: ColumnType, children: readonly ColumnWish[] = []): ColumnWish {
  return { name, type, nullable: true, children };
}
