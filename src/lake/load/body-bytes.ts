/** The bytes of bodies, out of the one file that an order brings them in. */
import { readFileSync } from "node:fs";
import { INGEST_PIECE_BYTES } from "../../base/lake-limits.ts";
import { decompress } from "../ingest/decompress.ts";
import type { BodyPlace } from "./message.ts";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const BRACE = 0x7b;

export class BodyBytes {
  readonly #files = new Map<string, Uint8Array>();

  /** As it was sent. */
  sent({ path, offset, bytes }: BodyPlace): Uint8Array {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = readFileSync(path);
      this.#files.set(path, file);
    }
    return file.subarray(offset, offset + bytes);
  }

  /** Without its encoding. */
  content(place: BodyPlace): AsyncIterable<Uint8Array> {
    return decompress(pieces(this.sent(place)), place.encoding);
  }

  /**
   * Rows of a body that is lines of JSON, each of which would be the same row in any other body of
   * lines; null for all others.
   */
  lines(place: BodyPlace): number | null {
    if (place.encoding !== null) return null;
    const bytes = this.sent(place);
    if (place.format === "ndjson") return linesIn(bytes);
    const isLine = place.format === "json" && bytes[0] === BRACE && !bytes.includes(NEWLINE);
    return isLine ? 1 : null;
  }

  /** Several bodies of lines as one. */
  async *joined(places: readonly BodyPlace[]): AsyncGenerator<Uint8Array> {
    for (const place of places) {
      const bytes = this.sent(place);
      yield* pieces(bytes);
      if (bytes.at(-1) !== NEWLINE) yield Uint8Array.of(NEWLINE);
    }
  }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += INGEST_PIECE_BYTES) {
    yield bytes.subarray(from, from + INGEST_PIECE_BYTES);
  }
}

/** Lines that are not blank. */
function linesIn(bytes: Uint8Array): number {
  let lines = 0;
  for (let from = 0; from < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline < 0 ? bytes.length : newline;
    if (!isBlank(bytes, from, to)) lines++;
    from = to + 1;
  }
  return lines;
}

function isBlank(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at];
    if (byte !== SPACE && byte !== TAB && byte !== CARRIAGE_RETURN) return false;
  }
  return true;
}
