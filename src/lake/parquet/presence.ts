/**
 * Which places of an Arrow vector hold a value, as one byte a place, because nested columns add
 * reasons for a place to be empty: the struct or the list around it is null, or no list reaches it.
 */
import type { Data } from "apache-arrow";

/** 1 where there is a value. Undefined: everywhere. */
export type Presence = Uint8Array | undefined;

/** Of the places that `around` leaves, those where `data` is not null. */
export function presence(data: Data, around: Presence): Presence {
  if (data.nullCount === 0) return around;
  const { nullBitmap, offset, length } = data;
  const present = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const place = offset + index;
    present[index] = ((nullBitmap[place >> 3] ?? 0) >> (place & 7)) & 1;
  }
  if (around !== undefined) {
    for (let index = 0; index < length; index++) {
      if (around[index] === 0) present[index] = 0;
    }
  }
  return present;
}

/** The elements, of which there are `length`, that the lists of `data` at `present` places have. */
export function elementPresence(data: Data, present: Presence, length: number): Presence {
  const offsets: Int32Array = data.valueOffsets;
  if (present === undefined && offsets[0] === 0 && offsets[data.length] === length) {
    return undefined;
  }
  const elements = new Uint8Array(length);
  for (let index = 0; index < data.length; index++) {
    if (present === undefined || present[index] === 1) {
      elements.fill(1, offsets[index], offsets[index + 1]);
    }
  }
  return elements;
}

export function presentCount(present: Presence, length: number): number {
  if (present === undefined) return length;
  let count = 0;
  for (let index = 0; index < length; index++) count += present[index] ?? 0;
  return count;
}
