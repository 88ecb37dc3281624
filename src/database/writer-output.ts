/** What a child leaves in files for its parent: each is read once and removed. */
import { readFile, rm } from "node:fs/promises";
import type { WriterBytes } from "./writer-message.ts";

export async function readBytes(source: WriterBytes): Promise<Uint8Array> {
  if ("base64" in source) return Uint8Array.fromBase64(source.base64);
  const bytes = await readFile(source.path);
  await rm(source.path);
  return bytes;
}

export async function readText(path: string): Promise<string> {
  const text = await readFile(path, "utf8");
  await rm(path);
  return text;
}
