/** Bytes that do not compress and are the same ones for the same seed. */
import { createHash } from "node:crypto";

export function noise(seed: number | string, length: number): Buffer {
  const key = createHash("sha256").update(`seed ${seed}`).digest();
  const bytes = Buffer.alloc(length);
  for (let at = 0, block = key; at < length; at += block.length) {
    block = createHash("sha256").update(block).digest();
    block.copy(bytes, at);
  }
  return bytes;
}
