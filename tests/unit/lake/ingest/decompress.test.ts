import { expect, test } from "bun:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { Failure } from "../../../../src/base/failure.ts";
import { decompress } from "../../../../src/lake/ingest/decompress.ts";
import { allOf, chunksOf, cut, thrownBy } from "../../../support/byte-chunks.ts";

const TEXT = Buffer.from("headgate ".repeat(40_000));
const ENCODINGS = [
  ["gzip", gzipSync(TEXT)],
  ["zstd", zstdCompressSync(TEXT)],
] as const;

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await allOf(chunks));
}

for (const [encoding, encoded] of ENCODINGS) {
  test(`${encoding} in pieces of any size becomes the bytes that were encoded`, async () => {
    for (const sizes of [[1], [7, 1, 64], [encoded.length]]) {
      expect(await textOf(decompress(cut(encoded, sizes), encoding))).toEqual(TEXT);
    }
    const twice = Buffer.concat([encoded, encoded]);
    expect((await textOf(decompress(chunksOf(twice), encoding))).length).toBe(2 * TEXT.length);
  });

  test(`${encoding} that ends early, at any byte, is invalid`, async () => {
    for (let bytes = 0; bytes < encoded.length; bytes += 7) {
      const error = await thrownBy(decompress(chunksOf(encoded.subarray(0, bytes)), encoding));
      expect(error).toMatchObject({ name: "Failure", kind: "invalid" });
      expect(String(error)).toContain(`Cannot decompress the body as ${encoding}: `);
    }
  });

  test(`bytes after ${encoding}, and bytes that are no ${encoding}, are invalid`, async () => {
    for (
      const bytes of [Buffer.concat([encoded, Buffer.from("tail")]), Buffer.from("plain text")]
    ) {
      const error = await thrownBy(decompress(chunksOf(bytes), encoding));
      expect(error).toMatchObject({ name: "Failure", kind: "invalid" });
    }
  });

  test(`a ${encoding} bomb stops at the limit`, async () => {
    const bomb = encoding === "gzip"
      ? gzipSync(Buffer.alloc(64 * 1024 * 1024))
      : zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
    let bytes = 0;
    const limits = { bodyBytesMax: 1_000_000, decompressedBytesMax: 1_000_000 };
    const read = async () => {
      for await (const chunk of decompress(chunksOf(bomb), encoding, limits)) bytes += chunk.length;
    };
    expect(await read().catch((error) => error)).toMatchObject({
      kind: "too_large",
      message: "The decompressed body is larger than 1000000 bytes: send it in parts",
      details: { bytes_max: 1_000_000 },
    });
    expect(bytes).toBeLessThanOrEqual(1_000_000);
  });

  test(`what the body throws comes out of ${encoding} as it is`, async () => {
    const gone = new Failure("unavailable", "the client went away");
    async function* body() {
      yield encoded.subarray(0, 20);
      throw gone;
    }
    expect(await thrownBy(decompress(body(), encoding))).toBe(gone);
  });
}

test("zstd with a checksum, frames to be skipped, and stored blocks is read", async () => {
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const checked = zstdCompressSync(TEXT, { params });
  const random = Buffer.from(Array.from({ length: 5_000 }, (_, at) => (at * 7919) ^ (at >> 3)));
  const skipped = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const body = Buffer.concat([checked, skipped, zstdCompressSync(random), zstdCompressSync("")]);
  expect(await textOf(decompress(cut(body, [1]), "zstd"))).toEqual(Buffer.concat([TEXT, random]));
  const cutShort = body.subarray(0, checked.length - 1);
  expect(await thrownBy(decompress(chunksOf(cutShort), "zstd"))).toMatchObject({ kind: "invalid" });
});

test("a body beyond its limit is too large, encoded or not", async () => {
  const limits = { bodyBytesMax: 10, decompressedBytesMax: 1_000_000 };
  for (const [encoding, bytes] of [[null, TEXT], ...ENCODINGS] as const) {
    expect(await thrownBy(decompress(chunksOf(bytes), encoding, limits)))
      .toMatchObject({ kind: "too_large", details: { bytes_max: 10 } });
  }
});

test("a body without an encoding passes as it is; an encoding that is not known is refused", async () => {
  expect(await textOf(decompress(chunksOf("abc"), "identity"))).toEqual(Buffer.from("abc"));
  expect(() => decompress(chunksOf(), "br"))
    .toThrow(`The content encoding is "br"; allowed: gzip, zstd, identity`);
});
