/** Bodies as they come from a network: bytes in pieces. */

export async function* chunksOf(
  ...parts: readonly (string | Uint8Array)[]
): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === "string" ? Buffer.from(part) : part;
}

/** The same bytes, cut after each of the given numbers of bytes, over and over. */
export async function* cut(
  bytes: Uint8Array,
  sizes: readonly number[],
): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? bytes.length);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

export async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What reading to the end throws; fails when it throws nothing. */
export async function thrownBy(items: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of items) continue;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
