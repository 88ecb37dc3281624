/**
 * A file → the requests that store it. Text is cut into pieces, each a body of its own (in CSV with
 * the header before it); what cannot be cut, arrays of JSON and Arrow, is one request.
 */
import { Failure } from "../base/failure.ts";
import {
  CLI_PIECE_BYTES,
  INGEST_BODY_BYTES_MAX,
  INGEST_ROW_BYTES_MAX,
} from "../base/lake-limits.ts";
import type { IngestFormat } from "../lake/ingest/format.ts";
import { arrowStreamIn } from "./arrow-file.ts";
import type { Source } from "./ingest-source.ts";
import { isBlank, lastLine, lineOfRow, type Piece, recordPieces } from "./record-pieces.ts";

export interface IngestRequest {
  readonly source: string;
  readonly format: IngestFormat;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What nodes know it by when it comes again. */
  readonly key: string;
  /** Lines of the file that are in it; null where it is the whole file. */
  readonly lines: readonly [first: number, last: number] | null;
  /** Where a row of the body is in the file: "line 12 of events.csv". */
  place(row: number): string;
}

export interface KeyParts {
  readonly lake: string;
  readonly table: string;
  readonly batch: string | null;
}

/** Of bytes of content. */
export interface RequestLimits {
  readonly pieceBytes: number;
  readonly recordBytesMax: number;
  readonly wholeBytesMax: number;
}

const LIMITS: RequestLimits = {
  pieceBytes: CLI_PIECE_BYTES,
  recordBytesMax: INGEST_ROW_BYTES_MAX,
  wholeBytesMax: INGEST_BODY_BYTES_MAX,
};

export async function* requestsOf(
  source: Source,
  key: KeyParts,
  onRead: (bytes: number) => void,
  limits: RequestLimits = LIMITS,
): AsyncGenerator<IngestRequest> {
  const { name, format } = source;
  if (format === "json" || format === "arrow") {
    const content = await whole(source, onRead, limits.wholeBytesMax);
    const bytes = format === "arrow" ? arrowStreamIn(content, name) : content;
    const place = (row: number) => `row ${row} of ${name}`;
    yield { source: name, format, bytes, key: keyOf(source, key, 0, bytes), lines: null, place };
    return;
  }
  const hasHeader = format === "csv";
  const ends = hasHeader ? "records" : "lines";
  const { pieceBytes, recordBytesMax } = limits;
  let header: Piece | null = null;
  const content = source.content(onRead);
  for await (
    const piece of recordPieces(content, { ends, pieceBytes, recordBytesMax, hasHeader, name })
  ) {
    if (hasHeader && header === null) {
      header = piece;
      continue;
    }
    // Blank lines are rows of CSV.
    if (!hasHeader && isBlank(piece.bytes)) continue;
    const bytes = header === null ? piece.bytes : Buffer.concat([header.bytes, piece.bytes]);
    yield {
      source: name,
      format,
      bytes,
      key: keyOf(source, key, piece.offset, bytes),
      lines: [piece.line, lastLine(piece)],
      place: (row) => `line ${lineOfRow(piece, ends, row)} of ${name}`,
    };
  }
}

/** Made of the content and its place, so that the same command makes the same keys again. */
function keyOf(
  { identity, format }: Source,
  { lake, table, batch }: KeyParts,
  offset: number,
  bytes: Uint8Array,
): string {
  const facts = JSON.stringify([lake, table, batch, identity, format, offset]);
  const hasher = new Bun.CryptoHasher("sha256").update(facts).update(bytes);
  return `cli-${hasher.digest("base64url")}`;
}

async function whole(
  source: Source,
  onRead: (bytes: number) => void,
  bytesMax: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source.content(onRead)) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw tooLarge(source, bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge({ name, format }: Source, bytesMax: number): Failure {
  const [what, advice] = format === "json"
    ? ["An array of JSON", "NDJSON, a row a line, may be of any size"]
    : ["An Arrow stream", "send it in several files"];
  return new Failure(
    "too_large",
    `Cannot take ${name}: it has more than ${bytesMax} bytes. ${what} is sent whole; ${advice}`,
  );
}
