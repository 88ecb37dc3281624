/**
 * A request's body without its content encoding. Both limits hold while it streams, so that a body
 * that grows a thousandfold costs no more memory than one that does not.
 */
import { Readable, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { Failure, isFailure } from "../../base/failure.ts";
import { INGEST_BODY_BYTES_MAX, INGEST_DECOMPRESSED_BYTES_MAX } from "../../base/lake-limits.ts";
import { shown } from "../../base/shown.ts";
import { ZstdFrames } from "./zstd-frames.ts";

export interface DecompressLimits {
  readonly bodyBytesMax: number;
  readonly decompressedBytesMax: number;
}

const LIMITS: DecompressLimits = {
  bodyBytesMax: INGEST_BODY_BYTES_MAX,
  decompressedBytesMax: INGEST_DECOMPRESSED_BYTES_MAX,
};

/**
 * The bytes that were encoded as `Content-Encoding` says: gzip, zstd, or not at all (null or
 * identity). Throws `too_large` at a limit, `invalid` for damaged data and for other encodings (at
 * once, not at the first byte), and what `body` throws.
 */
export function decompress(
  body: AsyncIterable<Uint8Array>,
  encoding: string | null,
  limits: DecompressLimits = LIMITS,
): AsyncIterable<Uint8Array> {
  const sent = upTo(body, limits.bodyBytesMax, "The body");
  const name = (encoding ?? "identity").trim().toLowerCase();
  switch (name) {
    case "identity":
      return sent;
    case "gzip":
    case "x-gzip":
      return upTo(through(sent, createGunzip, "gzip"), limits.decompressedBytesMax, INFLATED);
    case "zstd": {
      const frames = wholeFrames(sent);
      return upTo(
        through(frames, createZstdDecompress, "zstd"),
        limits.decompressedBytesMax,
        INFLATED,
      );
    }
    default: {
      const allowed = "gzip, zstd, identity";
      const message = `The content encoding is ${shown(encoding)}; allowed: ${allowed}`;
      throw new Failure("invalid", message);
    }
  }
}

const INFLATED = "The decompressed body";

async function* upTo(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax: number,
  what: string,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      const message = `${what} is larger than ${bytesMax} bytes: send it in parts`;
      throw new Failure("too_large", message, { details: { bytes_max: bytesMax } });
    }
    yield chunk;
  }
}

async function* wholeFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  let bytes = 0;
  for await (const chunk of chunks) {
    const wrong = frames.push(chunk);
    if (wrong !== null) throw damaged("zstd", wrong);
    bytes += chunk.length;
    yield chunk;
  }
  const wrong = bytes === 0 ? "it is empty" : frames.end();
  if (wrong !== null) throw damaged("zstd", wrong);
}

async function* through(
  chunks: AsyncIterable<Uint8Array>,
  start: () => Transform,
  encoding: string,
): AsyncGenerator<Uint8Array> {
  const source = Readable.from(chunks, { objectMode: false });
  const inflating = start();
  // What the body itself throws must come out as it is, not as damaged data.
  let thrown: { readonly error: unknown } | undefined;
  source.on("error", (error) => {
    thrown = { error };
    inflating.destroy(error);
  });
  source.pipe(inflating);
  try {
    for await (const chunk of inflating) yield chunk;
  } catch (error) {
    if (thrown !== undefined) throw thrown.error;
    if (isFailure(error)) throw error;
    throw damaged(encoding, error instanceof Error ? error.message : String(error), error);
  } finally {
    source.destroy();
    inflating.destroy();
  }
}

function damaged(encoding: string, why: string, cause?: unknown): Failure {
  return new Failure("invalid", `Cannot decompress the body as ${encoding}: ${why}`, { cause });
}
