/** JSON arrays and objects as lists, structs and maps. */
import { assert } from "../../base/assert.ts";
import { COLUMN_NAME_CHARACTERS_MAX } from "../../base/lake-limits.ts";
import { shown } from "../../base/shown.ts";
import type { Column } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { isLongNumber } from "./exact-json.ts";
import { type JsonReader, jsonReader } from "./json-values.ts";
import { Misfit, misfit } from "./misfit.ts";
import { textValuesOf } from "./text-values.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  if (typeof value !== "object" || value === null) return false;
  return !Array.isArray(value) && !isLongNumber(value);
}

export function listReader(column: Column, path: string): JsonReader {
  const [element] = column.children;
  assert(element !== undefined, `list ${path} has an element`);
  const read = jsonReader(element, path);
  return (value) => {
    if (!Array.isArray(value)) throw misfit(path, value, "an array");
    return value.map(read);
  };
}

export function structReader(column: Column, path: string): JsonReader {
  const fields = fieldsOf(column.children, path);
  return (value) => {
    if (!isObject(value)) throw misfit(path, value, "an object");
    const values: LakeValue[] = [];
    readFields(value, fields, (_index, field) => values.push(field));
    return values;
  };
}

/** The readers of the columns of a table or of a struct, by name. */
export interface Fields {
  readonly names: readonly string[];
  readonly readers: readonly JsonReader[];
  /** True where an object that lacks the name inherits something else by it. */
  readonly inherited: readonly boolean[];
  readonly path: string | undefined;
}

export function fieldsOf(columns: readonly Column[], path?: string): Fields {
  return {
    names: columns.map((column) => column.name),
    readers: columns.map((column) => jsonReader(column, path)),
    inherited: columns.map((column) => column.name in Object.prototype),
    path,
  };
}

/** Reads every field of an object in the order of the columns. Throws a misfit. */
export function readFields(
  object: JsonObject,
  fields: Fields,
  take: (index: number, value: LakeValue) => void,
): void {
  const { names, readers, inherited } = fields;
  let found = 0;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] ?? "";
    const absent = inherited[index] === true && !Object.hasOwn(object, name);
    const value = absent ? undefined : object[name];
    if (value !== undefined) found++;
    take(index, readers[index]?.(value) ?? null);
  }
  let present = 0;
  for (const _ in object) present++;
  if (present !== found) throw unknownField(object, fields);
}

/** JSON.parse makes no undefined, so an object with more fields than were found has another one. */
function unknownField(object: JsonObject, { names, path }: Fields): Misfit {
  const name = Object.keys(object).find((key) => !names.includes(key)) ?? "";
  return unknownColumn(path === undefined ? name : `${path}.${name}`, names);
}

const NAMES_SHOWN_MAX = 20;

export function unknownColumn(column: string, names: readonly string[]): Misfit {
  const more = names.length > NAMES_SHOWN_MAX ? `, and ${names.length - NAMES_SHOWN_MAX} more` : "";
  const allowed = names.slice(0, NAMES_SHOWN_MAX).join(", ") + more;
  const named = column.slice(0, COLUMN_NAME_CHARACTERS_MAX);
  return new Misfit(named, `column ${shown(column)} is not in the table; allowed: ${allowed}`);
}

export function mapReader(column: Column, path: string): JsonReader {
  const [key, value] = column.children;
  assert(key !== undefined && value !== undefined, `map ${path} has a key and a value`);
  const readKey = jsonReader(key, path);
  const readValue = jsonReader(value, path);
  const keyTexts = textValuesOf(key);
  const readName = (name: string): LakeValue => {
    const read = keyTexts === null ? readKey(name) : keyTexts.read(name);
    if (read === null) throw misfit(`${path}.${key.name}`, name, keyTexts?.allowed ?? "a key");
    return read;
  };
  return (found) => {
    const pairs = isObject(found)
      ? Object.entries(found).map(([name, item]) => [readName(name), readValue(item)])
      : Array.isArray(found)
      ? found.map((pair: unknown) => {
        if (!Array.isArray(pair) || pair.length !== 2) throw misfit(path, pair, "[key, value]");
        return [readKey(pair[0]), readValue(pair[1])];
      })
      : null;
    if (pairs === null) throw misfit(path, found, "an object, or an array of [key, value]");
    checkKeys(pairs, path);
    return pairs;
  };
}

function checkKeys(pairs: readonly (readonly LakeValue[])[], path: string): void {
  const seen = new Set<string>();
  for (const [key = null] of pairs) {
    const identity = identityOf(key);
    if (seen.has(identity)) throw misfit(path, key, "each key once");
    seen.add(identity);
  }
}

/** Equal for equal keys of one type, and for no others. */
function identityOf(key: LakeValue): string {
  if (key instanceof Uint8Array) return key.toHex();
  if (Array.isArray(key)) return JSON.stringify(key.map(identityOf));
  return String(key);
}
