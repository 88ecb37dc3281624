/** An answer that is a file → that file. */
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { describe, Failure } from "../base/failure.ts";

/**
 * Writes beside the file and renames, so that there is never half a database under its name.
 * Resolves to the size in bytes.
 */
export async function saveAnswer(response: Response, output: string): Promise<number> {
  const expected = Number(response.headers.get("content-length") ?? NaN);
  const partial = `${output}.partial`;
  try {
    let size = 0;
    const counted = async function* (body: AsyncIterable<Uint8Array>) {
      for await (const chunk of body) {
        size += chunk.byteLength;
        yield chunk;
      }
    };
    const body = response.body ?? new Blob([]).stream();
    await pipeline(Readable.from(counted(body)), createWriteStream(partial));
    if (!Number.isNaN(expected) && size !== expected) {
      throw new Error(`${size} of ${expected} bytes came`);
    }
    await rename(partial, output);
    return size;
  } catch (cause) {
    await rm(partial, { force: true });
    // What fails here is this machine's file, or else the connection.
    const kind = "syscall" in Object(cause) ? "invalid" : "unavailable";
    throw new Failure(kind, `Cannot write ${output}: ${describe(cause)}`, { cause });
  }
}
