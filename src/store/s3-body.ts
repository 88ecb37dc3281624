/** Bodies of S3 requests and answers: a file as a stream out, a stream in as one array. */
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { Failure } from "../base/failure.ts";
import { checkBodyFile } from "./body-file.ts";
import type { Body } from "./store.ts";

export interface OpenedBody extends AsyncDisposable {
  readonly body: Uint8Array | Readable;
}

/** Throws `invalid` for a file that is not there or has another size; nothing is sent then. */
export async function openBody(body: Body): Promise<OpenedBody> {
  if (body instanceof Uint8Array) return { body, [Symbol.asyncDispose]: async () => {} };
  await checkBodyFile(body);
  const handle = await open(body.path, "r");
  const stream = handle.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 });
  // An error of the disk starves the request, which then fails at its deadline; unheard it would
  // end the process.
  stream.on("error", () => {});
  return {
    body: stream,
    [Symbol.asyncDispose]: async () => {
      stream.destroy();
      await handle.close().catch(() => {});
    },
  };
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
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body) {
      chunks.push(chunk);
      length += chunk.length;
      if (size !== undefined && length > size) break;
    }
    if (size === undefined || length === size) return join(chunks, length);
    throw new Failure("unavailable", `The answer has ${length} bytes instead of ${size}`);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
