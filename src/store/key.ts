/**
 * Keys of objects: which are allowed, and their order. A key must mean the same on every store, so
 * what a POSIX path or an XML answer could change is refused on all of them.
 */
import { Failure } from "../base/failure.ts";

/** Bytes of a key, its store's prefix included, as S3 has it. */
export const KEY_BYTES_MAX = 1024;
/** Bytes of one segment of a key, as most file systems have it. */
const SEGMENT_BYTES_MAX = 255;
/** First segment that the file store keeps for its temporary files. */
export const RESERVED_SEGMENT = ".headgate";

// deno-lint-ignore no-control-regex -- control characters are what this is for
const FORBIDDEN = /[\u0000-\u001f\u007f\\]/;

/** Throws `invalid` for a key that no store takes. `prefix` is the store's own. */
export function checkKey(key: string, prefix = ""): void {
  const reason = wrongWithKey(key, prefix);
  if (reason !== null) {
    throw new Failure("invalid", `Cannot use the key ${JSON.stringify(key)}: ${reason}`);
  }
}

function wrongWithKey(key: string, prefix: string): string | null {
  if (key === "") return "it is empty";
  if (!key.isWellFormed()) return "it is not well-formed Unicode";
  if (FORBIDDEN.test(key)) return "it holds a control character or a backslash";
  const bytes = Buffer.byteLength(prefix) + Buffer.byteLength(key);
  if (bytes > KEY_BYTES_MAX) return `it has ${bytes} bytes; at most ${KEY_BYTES_MAX} are allowed`;
  const segments = key.split("/");
  if (segments[0] === RESERVED_SEGMENT) return `${RESERVED_SEGMENT} is reserved`;
  for (const segment of segments) {
    if (segment === "") return "it has an empty segment";
    if (segment === "." || segment === "..") return `it has the segment ${segment}`;
    if (Buffer.byteLength(segment) > SEGMENT_BYTES_MAX) {
      return `a segment has more than ${SEGMENT_BYTES_MAX} bytes`;
    }
  }
  return null;
}

/**
 * Order by UTF-8 bytes. JavaScript compares UTF-16 units, which differs only where one side has a
 * surrogate (a code point above U+FFFF) and the other a unit from U+E000 on.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates after all other units, otherwise in order. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Sorts in place by `compareKeys`; the native sort does where the orders are the same. */
export function sortKeys(keys: string[]): string[] {
  const plain = keys.every((key) => !/[\ud800-\uffff]/.test(key));
  return plain ? keys.sort() : keys.sort(compareKeys);
}

/** True if a key in `folder` (which ends with "/") can come after `startAfter`. */
export function mayHoldAfter(folder: string, startAfter: string): boolean {
  return startAfter.startsWith(folder) || compareKeys(folder, startAfter) > 0;
}

export const LIST_KEYS_MAX = 1000;

/** Keys a page for a wish: 1 to 1000, the default 1000. */
export function pageLimit(limit: number | undefined): number {
  if (limit === undefined) return LIST_KEYS_MAX;
  if (!Number.isInteger(limit) || limit < 1 || limit > LIST_KEYS_MAX) {
    throw new Failure("invalid", `Cannot list ${limit} keys a page: 1 to ${LIST_KEYS_MAX}`);
  }
  return limit;
}

/** Throws `invalid` unless offset and length are whole numbers from 0. */
export function checkRange(range: { readonly offset: number; readonly length: number }): void {
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!whole(range.offset) || !whole(range.length)) {
    throw new Failure("invalid", `Cannot read ${range.length} bytes from ${range.offset}`);
  }
}
