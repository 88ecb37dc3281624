/**
 * An Arrow file → the stream within it, which is what nodes take. The file format (Arrow columnar
 * format 1.5, "IPC File Format") is a magic number, a stream, a footer, the footer's length and the
 * magic number again. Anything else is taken for a stream. (The writer of apache-arrow for JavaScript
 * leaves the schema out of the stream in a file, against that format; nodes refuse such a stream.)
 */
import { Failure } from "../base/failure.ts";

const MAGIC = Buffer.from("ARROW1");
/** The magic number, padded to eight bytes. */
const HEAD_BYTES = 8;
/** The footer's length and the magic number. */
const TAIL_BYTES = 4 + MAGIC.length;

/** Throws `invalid` for a file that does not end as it begins. */
export function arrowStreamIn(bytes: Uint8Array<ArrayBuffer>, name: string) {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) return bytes;
  const isWhole = file.length >= HEAD_BYTES + TAIL_BYTES &&
    file.subarray(-MAGIC.length).equals(MAGIC);
  const end = isWhole ? file.length - TAIL_BYTES - file.readInt32LE(file.length - TAIL_BYTES) : 0;
  if (end >= HEAD_BYTES && end < file.length) return bytes.subarray(HEAD_BYTES, end);
  throw new Failure("invalid", `Cannot read ${name}: it is an Arrow file that is cut short`);
}
