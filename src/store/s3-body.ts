/**
 * Bodies of S3 requests and answers: what is large goes out as a stream, so that neither its
 * checksum nor its way to the socket holds up anything else; what comes in becomes one array.
 */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { release } from "../base/release.ts";
import { checkBodyFile } from "./body-file.ts";
import type { Body } from "./store.ts";

/** Up to this a body goes to the SDK as it is: signed and sent in about a millisecond. */
const PLAIN_BYTES_MAX = 1024 * 1024;
/** Hashed without giving others a turn: about 2 ms. */
const HASH_SLICE_BYTES = 2 * 1024 * 1024;
const WRITE_SLICE_BYTES = 256 * 1024;

export interface OpenedBody extends AsyncDisposable {
  readonly body: Uint8Array | Readable;
  /** For the signature, where the SDK cannot know it; null leaves it to the SDK. */
  readonly sha256: string | null;
  /** False while a part of it has not gone out: an early answer leaves the request unfinished. */
  isSent(): boolean;
}

/** Throws `invalid` for a file that is not there or has another size; nothing is sent then. */
export async function openBody(body: Body, clock: Clock): Promise<OpenedBody> {
  if (!(body instanceof Uint8Array)) return await openFile(body);
  if (body.length <= PLAIN_BYTES_MAX) {
    return {
      body,
      sha256: null,
      isSent: () => true,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const sha256 = await hash(body, clock);
  const stream = Readable.from(slices(body), { objectMode: false });
  stream.on("error", () => {});
  return {
    body: stream,
    sha256,
    isSent: () => stream.readableEnded,
    [Symbol.asyncDispose]: () => {
      stream.destroy();
      return Promise.resolve();
    },
  };
}

async function openFile(body: Exclude<Body, Uint8Array>): Promise<OpenedBody> {
  await checkBodyFile(body);
  const handle = await open(body.path, "r");
  const stream = handle.createReadStream({ autoClose: false, highWaterMark: WRITE_SLICE_BYTES });
  // An error of the disk starves the request, which then fails at its deadline; unheard it would
  // end the process.
  stream.on("error", () => {});
  return {
    body: stream,
    sha256: null, // it would be read twice; the SDK signs a stream without its content
    isSent: () => stream.readableEnded,
    [Symbol.asyncDispose]: async () => {
      stream.destroy();
      await handle.close().catch(() => {});
    },
  };
}

async function hash(bytes: Uint8Array, clock: Clock): Promise<string> {
  const sha256 = createHash("sha256");
  for (let at = 0; at < bytes.length; at += HASH_SLICE_BYTES) {
    sha256.update(bytes.subarray(at, at + HASH_SLICE_BYTES));
    await clock.turn();
  }
  return sha256.digest("hex");
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += WRITE_SLICE_BYTES) {
    yield bytes.subarray(at, at + WRITE_SLICE_BYTES);
  }
}

/** The whole stream. `size` is the stated length, if any; a shorter stream is `unavailable`. */
export async function readBody(
  body: unknown,
  size: number | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (!(body instanceof Readable)) return new Uint8Array();
  const stop = () => body.destroy(new Error("cancelled"));
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    // The array is made at once, so that nothing is copied when the last bytes come.
    let bytes = new Uint8Array(size ?? 0);
    let length = 0;
    for await (const chunk of body) {
      if (length + chunk.length > bytes.length) {
        if (size !== undefined) throw new Failure("unavailable", `More than ${size} bytes came`);
        bytes = grown(bytes, length + chunk.length);
      }
      bytes.set(chunk, length);
      length += chunk.length;
      release(chunk);
    }
    if (size === undefined || length === size) return bytes.subarray(0, length);
    throw new Failure("unavailable", `The answer has ${length} bytes instead of ${size}`);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function grown(bytes: Uint8Array, least: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(least, bytes.length * 2));
  larger.set(bytes);
  return larger;
}
