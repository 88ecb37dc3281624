/**
 * DuckDB's values as JSON, exactly: integers beyond 2^53 as `{"integer"}`, decimals as `{"decimal"}`
 * (a JSON number is a double to most readers), blobs as `{"base64"}`, NaN and infinities as
 * `{"real"}`; dates and times as ISO text; a list as an array, a struct as an object, a map as a
 * list of pairs, a union as an object of one key.
 */
import {
  DuckDBArrayType,
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDecimalValue,
  DuckDBListType,
  DuckDBListValue,
  DuckDBMapType,
  DuckDBMapValue,
  DuckDBStructType,
  DuckDBStructValue,
  type DuckDBType,
  DuckDBTypeId,
  DuckDBUnionType,
  DuckDBUnionValue,
  type DuckDBValue,
  DuckDBVariantValue,
} from "@duckdb/node-api";
import { assert } from "../../base/assert.ts";
import { Failure } from "../../base/failure.ts";
import { encodeValue } from "../../database/value.ts";
import { scalarText, shortestFloat32 } from "./scalar-text.ts";

export type EncodeJson = (value: DuckDBValue) => string;

/** An encoder of one column. Throws `invalid` for a struct whose fields cannot be told apart. */
export function jsonEncoder(type: DuckDBType): EncodeJson {
  const encode = encoderOf(type);
  return (value) => value === null || value === undefined ? "null" : encode(value);
}

function encoderOf(type: DuckDBType): EncodeJson {
  if (type instanceof DuckDBListType || type instanceof DuckDBArrayType) {
    return listEncoder(jsonEncoder(type.valueType));
  }
  if (type instanceof DuckDBStructType) return structEncoder(type);
  if (type instanceof DuckDBMapType) {
    return mapEncoder(jsonEncoder(type.keyType), jsonEncoder(type.valueType));
  }
  if (type instanceof DuckDBUnionType) return unionEncoder(type);
  if (type.typeId === DuckDBTypeId.FLOAT) {
    return (value) => real(shortestFloat32(value as number));
  }
  if (type.typeId === DuckDBTypeId.DOUBLE) return (value) => real(value as number);
  return plain;
}

/** A number here is an integer of at most 32 bits. */
function plain(value: DuckDBValue): string {
  switch (typeof value) {
    case "number":
    case "boolean":
      return String(value);
    case "bigint":
      return encodeValue(value);
    case "string":
      return JSON.stringify(value);
    default:
  }
  if (value instanceof DuckDBDecimalValue) return `{"decimal":"${value}"}`;
  if (value instanceof DuckDBBlobValue) return encodeValue(value.bytes);
  if (value instanceof DuckDBVariantValue) return variant(value);
  return JSON.stringify(scalarText(value));
}

function variant({ value, type }: DuckDBVariantValue): string {
  if (value === null) return "null";
  return type === undefined ? plain(value) : jsonEncoder(type)(value);
}

function real(value: number): string {
  return Number.isNaN(value) ? '{"real":"NaN"}' : encodeValue(value);
}

function listEncoder(item: EncodeJson): EncodeJson {
  return (value) => {
    assert(
      value instanceof DuckDBListValue || value instanceof DuckDBArrayValue,
      "a value of a list's type is a list",
    );
    return `[${value.items.map(item).join(",")}]`;
  };
}

function structEncoder({ entryNames, entryTypes }: DuckDBStructType): EncodeJson {
  checkNames(entryNames);
  const fields = entryTypes.map((type, index) => {
    const name = entryNames[index] ?? "";
    return { name, label: `${JSON.stringify(name)}:`, encode: jsonEncoder(type) };
  });
  return (value) => {
    assert(value instanceof DuckDBStructValue, "a value of a struct's type is a struct");
    const { entries } = value;
    return `{${
      fields.map(({ name, label, encode }) => label + encode(entries[name] ?? null)).join(",")
    }}`;
  };
}

/** The driver keeps fields by name: those of `row(1, 2)` have none, and only one would be left. */
export function checkNames(names: readonly string[]): void {
  if (new Set(names).size === names.length && !names.includes("__proto__")) return;
  throw new Failure(
    "invalid",
    "Cannot run this query: a struct in its result has fields without names of their own; " +
      "name them, as in {'a': 1, 'b': 2}",
  );
}

function mapEncoder(key: EncodeJson, item: EncodeJson): EncodeJson {
  return (value) => {
    assert(value instanceof DuckDBMapValue, "a value of a map's type is a map");
    return `[${value.entries.map((pair) => `[${key(pair.key)},${item(pair.value)}]`).join(",")}]`;
  };
}

function unionEncoder({ memberTags, memberTypes }: DuckDBUnionType): EncodeJson {
  const encoders = new Map(
    memberTypes.map((type, index) => [memberTags[index], jsonEncoder(type)]),
  );
  return (value) => {
    assert(value instanceof DuckDBUnionValue, "a value of a union's type is a union");
    const encode = encoders.get(value.tag);
    assert(encode !== undefined, `${value.tag} is a member of the union`);
    return `{${JSON.stringify(value.tag)}:${encode(value.value)}}`;
  };
}
