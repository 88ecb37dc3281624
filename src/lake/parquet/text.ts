/** Texts and bytes of any length as an Arrow vector: all bytes in one, and where each begins. */
import type { Column } from "../column.ts";
import type { LakeValue } from "../rows.ts";
import { mismatch } from "./fixed.ts";

export interface Pieces {
  readonly data: Uint8Array;
  /** Where each value begins, and at last where the last one ends. */
  readonly offsets: Int32Array;
}

const encoder = new TextEncoder();

/** Lone surrogates, which UTF-8 has no bytes for, become U+FFFD. */
export function texts(column: Column, values: readonly LakeValue[]): Pieces {
  const offsets = new Int32Array(values.length + 1);
  let characters = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value === "string") characters += value.length;
    else if (value !== null) mismatch(column, value);
    offsets[index + 1] = characters;
  }
  // Joining makes nothing of a null. Encoding all at once is several times as fast as one by one. As many bytes as characters: every
  // character is ASCII, and the offsets hold.
  const data = encoder.encode(values.join(""));
  return data.length === characters ? { data, offsets } : oneByOne(values, characters);
}

function oneByOne(values: readonly LakeValue[], characters: number): Pieces {
  const offsets = new Int32Array(values.length + 1);
  // No character of UTF-16 takes more than three bytes of UTF-8.
  const data = new Uint8Array(3 * characters);
  let at = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value === "string" && value !== "") {
      at += encoder.encodeInto(value, data.subarray(at)).written;
    }
    offsets[index + 1] = at;
  }
  return { data: data.subarray(0, at), offsets };
}

export function blobs(column: Column, values: readonly LakeValue[]): Pieces {
  const offsets = new Int32Array(values.length + 1);
  let length = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value instanceof Uint8Array) length += value.length;
    else if (value !== null) mismatch(column, value);
    offsets[index + 1] = length;
  }
  const data = new Uint8Array(length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value instanceof Uint8Array) data.set(value, offsets[index]);
  }
  return { data, offsets };
}
