/**
 * HPACK (RFC 7541) without a dynamic table: what we send is encoded once per kind of request, and
 * of what we receive only `:status` is read. We announce a table of 0 bytes, so a peer that
 * keeps the rules can never refer to an entry that we would have had to remember.
 */
import { Failure } from "../../base/failure.ts";

export interface HeaderField {
  /** Lower case. Pseudo fields (`:method`) come before the others. */
  readonly name: string;
  readonly value: string;
  /** Encoded as "never indexed", so that no proxy keeps it in a table. */
  readonly secret?: boolean;
}

/** Whole fields of the static table (RFC 7541, appendix A) that requests use. */
const STATIC_FIELDS: ReadonlyMap<string, number> = new Map([
  [":method GET", 2],
  [":method POST", 3],
  [":path /", 4],
  [":scheme http", 6],
  [":scheme https", 7],
]);

const STATIC_NAMES: ReadonlyMap<string, number> = new Map([
  [":authority", 1],
  [":method", 2],
  [":path", 4],
  [":scheme", 6],
  ["accept", 19],
  ["authorization", 23],
  ["content-length", 28],
  ["content-type", 31],
  ["user-agent", 58],
]);

/** Values of `:status` in the static table, entries 8 to 14. */
const STATIC_STATUSES: readonly number[] = [200, 204, 206, 304, 400, 404, 500];
const STATIC_ENTRIES = 61;

/** A header block of indexed fields and literals without indexing or Huffman coding. */
export function encodeFields(fields: readonly HeaderField[]): Uint8Array {
  const out: number[] = [];
  for (const { name, value, secret } of fields) {
    const whole = secret ? undefined : STATIC_FIELDS.get(`${name} ${value}`);
    if (whole !== undefined) {
      pushInteger(out, whole, 7, 0x80);
      continue;
    }
    const known = STATIC_NAMES.get(name) ?? 0;
    pushInteger(out, known, 4, secret ? 0x10 : 0x00);
    if (known === 0) pushText(out, name);
    pushText(out, value);
  }
  return Uint8Array.from(out);
}

/** An integer with a prefix of `prefixBits` (section 5.1), the bits before it given by `pattern`. */
export function pushInteger(
  out: number[],
  value: number,
  prefixBits: number,
  pattern: number,
): void {
  const limit = (1 << prefixBits) - 1;
  if (value < limit) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | limit);
  let rest = value - limit;
  while (rest >= 128) {
    out.push((rest & 127) | 128);
    rest >>>= 7;
  }
  out.push(rest);
}

function pushText(out: number[], text: string): void {
  const bytes = new TextEncoder().encode(text);
  pushInteger(out, bytes.length, 7, 0);
  for (const byte of bytes) out.push(byte);
}

/**
 * The value of `:status`, which a server sends as the first field of an answer; 0 when the block
 * starts with another field (trailers). Throws `invalid` on bytes that are no header block and on
 * references to a dynamic table.
 */
export function decodeStatus(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start];
  // The usual answers in one step: an indexed field of the static table.
  if (first !== undefined && start < end && first >= 0x88 && first <= 0x8e) {
    return STATIC_STATUSES[first - 0x88] ?? 0;
  }
  const cursor: Cursor = { bytes, offset: start, end };
  while (cursor.offset < end && ((bytes[cursor.offset] ?? 0) & 0xe0) === 0x20) {
    takeInteger(cursor, 5); // a dynamic table size update
  }
  if (cursor.offset >= end) return 0;
  const byte = bytes[cursor.offset] ?? 0;
  if ((byte & 0x80) !== 0) {
    const index = takeInteger(cursor, 7);
    if (index === 0 || index > STATIC_ENTRIES) throw unusable(`refers to table entry ${index}`);
    return STATIC_STATUSES[index - 8] ?? 0;
  }
  const index = takeInteger(cursor, (byte & 0x40) !== 0 ? 6 : 4);
  if (index > STATIC_ENTRIES) throw unusable(`refers to table entry ${index}`);
  const name = index === 0 ? takeText(cursor) : "";
  if (!(index >= 8 && index <= 14) && name !== ":status") return 0;
  const status = Number(takeText(cursor));
  if (!Number.isInteger(status) || status < 100 || status > 999) throw unusable("has no status");
  return status;
}

interface Cursor {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;
}

function takeInteger(cursor: Cursor, prefixBits: number): number {
  const limit = (1 << prefixBits) - 1;
  let value = takeByte(cursor) & limit;
  if (value < limit) return value;
  for (let shift = 0; shift <= 21; shift += 7) {
    const byte = takeByte(cursor);
    value += (byte & 127) << shift;
    if (byte < 128) return value;
  }
  throw unusable("has an integer above 2^28");
}

function takeByte(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.offset];
  if (byte === undefined || cursor.offset >= cursor.end) throw unusable("is cut short");
  cursor.offset++;
  return byte;
}

function takeText(cursor: Cursor): string {
  const huffman = ((cursor.bytes[cursor.offset] ?? 0) & 0x80) !== 0;
  const length = takeInteger(cursor, 7);
  const start = cursor.offset;
  const end = start + length;
  if (end > cursor.end) throw unusable("is cut short");
  cursor.offset = end;
  if (huffman) return digitsOf(cursor.bytes, start, end);
  return new TextDecoder().decode(cursor.bytes.subarray(start, end));
}

/**
 * Huffman-coded digits (RFC 7541, appendix B): 0 to 2 are the 5-bit codes 0 to 2, 3 to 9 the
 * 6-bit codes 25 to 31. Any other text gives "", which is no status and no name we look for.
 */
function digitsOf(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let bits = 0;
  let held = 0;
  for (let offset = start; offset < end; offset++) {
    held = ((held << 8) | (bytes[offset] ?? 0)) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      const five = (held >>> (bits - 5)) & 31;
      const six = bits >= 6 ? (held >>> (bits - 6)) & 63 : -1;
      if (five <= 2) {
        text += String(five);
        bits -= 5;
      } else if (six >= 25 && six <= 31) {
        text += String(six - 22);
        bits -= 6;
      } else if (bits >= 8) {
        return "";
      } else break;
    }
  }
  // What is left must be padding: fewer than eight bits, all ones.
  return bits < 8 && (held & ((1 << bits) - 1)) === (1 << bits) - 1 ? text : "";
}

function unusable(what: string): Failure {
  return new Failure("invalid", `Cannot read the header block of an answer: it ${what}`);
}
