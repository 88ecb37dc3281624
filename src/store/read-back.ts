/** Whether an object is the one that somebody tried to create. */
import { closeSync, openSync, readSync } from "node:fs";
import { Failure } from "../base/failure.ts";
import { type Body, bodySize, type FileBody, type RequestOptions, type Store } from "./store.ts";

/** An LTX header, which holds the node id and our checksums. */
const HEADER_BYTES = 100;
/** An LTX trailer: the checksums of the database and of the file. */
const TRAILER_BYTES = 16;

/**
 * Compares an object with a body. Bytes are compared one by one. A `FileBody`, which can be
 * gigabytes, by its size, its first 100 and its last 16 bytes: the first hold the 64-bit random id
 * of the claim, the last a CRC over everything, so no other writer's object has both.
 */
export async function readBack(
  store: Store,
  key: string,
  body: Body,
  options: RequestOptions,
): Promise<"equal" | "different" | "absent"> {
  if (body instanceof Uint8Array) {
    const found = await store.get(key, options);
    if (found === null) return "absent";
    return Buffer.compare(found.bytes, body) === 0 ? "equal" : "different";
  }
  const head = await store.head(key, options);
  if (head === null) return "absent";
  if (head.size !== bodySize(body)) return "different";
  const trailer = Math.max(0, body.size - TRAILER_BYTES);
  for (
    const range of [
      { offset: 0, length: Math.min(HEADER_BYTES, body.size) },
      { offset: trailer, length: body.size - trailer },
    ]
  ) {
    const found = await store.getRange(key, range, options);
    if (found === null) return "absent";
    if (Buffer.compare(found, fileRange(body, range)) !== 0) return "different";
  }
  return "equal";
}

/** A hundred bytes of a file in memory: not worth a turn of the event loop. */
function fileRange(
  body: FileBody,
  range: { readonly offset: number; readonly length: number },
): Uint8Array {
  const file = openSync(body.path, "r");
  try {
    const bytes = new Uint8Array(range.length);
    if (readSync(file, bytes, 0, range.length, range.offset) === range.length) return bytes;
  } finally {
    closeSync(file);
  }
  throw new Failure("invalid", `The file ${body.path} ends before its ${body.size} bytes`);
}
