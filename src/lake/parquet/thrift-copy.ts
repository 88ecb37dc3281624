/**
 * Copies structs of Thrift's compact protocol with some of their fields changed
 * (apache/thrift, doc/specs/thrift-compact-protocol.md).
 */
import type { ThriftField, ThriftReader } from "./thrift.ts";

/**
 * What becomes of a field: "copied" as it is, "dropped", or another value in its place, encoded, of
 * the same type. Only with the last has the value been read.
 */
export type FieldChange = "copied" | "dropped" | Uint8Array;

/** The struct that begins here, which is read to its end. */
export function copyStruct(
  reader: ThriftReader,
  change: (field: ThriftField) => FieldChange,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let idBefore = 0;
  reader.wholeStruct((field) => {
    const begin = reader.at;
    const changed = change(field);
    if (typeof changed === "string") reader.skip(field.type);
    if (changed === "dropped") return true;
    parts.push(
      fieldHeader(field, idBefore),
      changed === "copied" ? reader.since(begin) : changed,
    );
    idBefore = field.id;
    return true;
  });
  parts.push(Uint8Array.of(0));
  return Buffer.concat(parts);
}

function fieldHeader({ id, type }: ThriftField, idBefore: number): Uint8Array {
  const difference = id - idBefore;
  if (difference > 0 && difference <= 15) return Uint8Array.of(difference << 4 | type);
  return Buffer.concat([Uint8Array.of(type), encodeInteger(id)]);
}

/** Of any width; exact within ±2^52. */
export function encodeInteger(value: number): Uint8Array {
  return varint(value < 0 ? -2 * value - 1 : 2 * value);
}

export function encodeList(type: number, elements: readonly Uint8Array[]): Uint8Array {
  const { length } = elements;
  const header = length < 15
    ? Uint8Array.of(length << 4 | type)
    : Buffer.concat([Uint8Array.of(0xf0 | type), varint(length)]);
  return Buffer.concat([header, ...elements]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push(rest % 128 + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
