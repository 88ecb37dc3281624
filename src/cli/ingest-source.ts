/** What `lake ingest` reads: a file or the input, its format, and its bytes without compression. */
import { createReadStream, statSync } from "node:fs";
import { resolve } from "node:path";
import { Failure, isFailure } from "../base/failure.ts";
import { decompress } from "../lake/ingest/decompress.ts";
import type { IngestFormat } from "../lake/ingest/format.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { UsageError } from "./arguments.ts";

export interface Source {
  /** As it was given. */
  readonly name: string;
  /** The same for every spelling of the file's path. */
  readonly identity: string;
  readonly format: IngestFormat;
  /** Of the file as it is stored; null where that is not known. */
  readonly bytes: number | null;
  /** Its content from the beginning; `onRead` hears of bytes as they are stored. */
  content(onRead: (bytes: number) => void): AsyncIterable<Uint8Array>;
}

const INPUT = "-";
const READ_BYTES = 1024 * 1024;
const NO_LIMITS = { bodyBytesMax: Infinity, decompressedBytesMax: Infinity };

const FORMATS: Readonly<Record<string, IngestFormat>> = {
  ndjson: "ndjson",
  jsonl: "ndjson",
  json: "json",
  csv: "csv",
  arrow: "arrow",
  arrows: "arrow",
};
const COMPRESSIONS: Readonly<Record<string, string>> = { gz: "gzip", zst: "zstd" };

/** Throws `UsageError` for a format that is not known, `invalid` for a file that is not there. */
export function sourceOf(name: string, format: string | undefined, around: Surroundings): Source {
  const endings = name.toLowerCase().split("/").at(-1)?.split(".").slice(1) ?? [];
  const encoding = name === INPUT ? undefined : COMPRESSIONS[endings.at(-1) ?? ""];
  const ending = endings.at(encoding === undefined ? -1 : -2) ?? "";
  const found = FORMATS[format ?? ending];
  if (found === undefined) throw unknownFormat(name, format);
  const open = name === INPUT
    ? () => around.input()
    : () => createReadStream(name, { highWaterMark: READ_BYTES });
  return {
    name: name === INPUT ? "the input" : name,
    identity: name === INPUT ? INPUT : resolve(name),
    format: found,
    bytes: name === INPUT ? null : sizeOf(name),
    content: (onRead) => reading(name, decompressed(counted(open(), onRead), encoding)),
  };
}

function unknownFormat(name: string, format: string | undefined): UsageError {
  const endings = Object.keys(FORMATS).join(", ");
  if (format !== undefined) return new UsageError(`--format is ${format}; allowed: ${endings}`);
  const what = name === INPUT ? "The input" : JSON.stringify(name);
  return new UsageError(
    `${what} has no name that says its format (${endings}, with .gz or .zst after it): ` +
      "give --format",
  );
}

/** Null for what is no regular file, as a pipe. */
function sizeOf(name: string): number | null {
  try {
    const found = statSync(name);
    if (found.isDirectory()) throw new Failure("invalid", `Cannot read ${name}: it is a folder`);
    return found.isFile() ? found.size : null;
  } catch (cause) {
    throw isFailure(cause) ? cause : unreadable(name, cause);
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onRead: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    onRead(chunk.length);
    yield chunk;
  }
}

function decompressed(
  stored: AsyncIterable<Uint8Array>,
  encoding: string | undefined,
): AsyncIterable<Uint8Array> {
  return encoding === undefined ? stored : decompress(stored, encoding, NO_LIMITS);
}

/** The content, with errors that name the file. */
async function* reading(
  name: string,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* content;
  } catch (cause) {
    if (!isFailure(cause)) throw unreadable(name, cause);
    throw new Failure(cause.kind, cause.message.replace("the body", name), { cause });
  }
}

function unreadable(name: string, cause: unknown): Failure {
  const code = String(Object(cause).code ?? cause);
  return new Failure("invalid", `Cannot read ${name}: ${code}`, { cause });
}
