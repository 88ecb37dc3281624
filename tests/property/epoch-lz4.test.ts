import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compressBlock, compressedBytesMax, decompressBlock } from "../../src/epoch/lz4.ts";

/** Bytes of every kind that a page can be made of: noise, runs, repeats at all distances. */
const content = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }),
  fc.array(
    fc.oneof(
      fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 2000 })).map(([byte, length]) =>
        new Uint8Array(length).fill(byte)
      ),
      fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 80 }))
        .map(([piece, times]) => repeat(piece, times)),
      fc.uint8Array({ maxLength: 300 }),
    ),
    { maxLength: 14 },
  ).map((pieces) => concat(pieces).slice(0, 65_536)),
  fc.integer({ min: 0, max: 65_536 }).map((length) => new Uint8Array(length)),
  fc.tuple(fc.uint8Array({ minLength: 5, maxLength: 300 }), fc.integer({ min: 0, max: 65_000 }))
    .map(([piece, gap]) => concat([piece, noise(gap), piece]).slice(0, 65_536)),
);

describe("LZ4 blocks", () => {
  test("whatever is compressed comes back, within the bound", () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const block = compressed(bytes);
        expect(block.length).toBeLessThanOrEqual(compressedBytesMax(bytes.length));
        const target = new Uint8Array(bytes.length);
        expect(decompressBlock(block, 0, block.length, target)).toBeNull();
        expect(Buffer.compare(target, bytes)).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  test("a block obeys the end rules of the format: 5 last literals, no match in the last 12", () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const sequences = parse(compressed(bytes));
        const last = sequences.at(-1);
        const matches = sequences.slice(0, -1);
        if (matches.length > 0) expect(last?.literals).toBeGreaterThanOrEqual(5);
        for (const match of matches) {
          expect(match.at).toBeLessThanOrEqual(bytes.length - 12);
        }
      }),
    );
  });

  test("the same bytes give the same block, whatever was compressed before", () => {
    // Words of four letters: matches everywhere, of which another history would find others.
    const words = (seed: number) => noise(4096, seed).map((byte) => byte & 3);
    for (let seed = 1; seed <= 20; seed++) {
      const bytes = words(seed);
      const block = compressed(bytes);
      // The same end after another start: its positions are looked up at other times.
      compressed(concat([noise(300), bytes.slice(300)]));
      expect(Buffer.compare(compressed(bytes), block)).toBe(0);
    }
  });

  test("a damaged block is refused or fills the page, and never writes beside it", () => {
    fc.assert(
      fc.property(
        content.filter((bytes) => bytes.length > 0),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (bytes, changes) => {
          const block = compressed(bytes);
          for (const [at, value] of changes) block[at % block.length] = value;
          expectContained(block, bytes.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("random bytes are refused or fill the page, and never write beside it", () => {
    // Small numbers make tokens, lengths and distances that nearly fit.
    const near = fc.array(fc.oneof(fc.nat(40), fc.constantFrom(0xf0, 0xff, 0x1f), fc.nat(255)), {
      maxLength: 60,
    }).map((numbers) => Uint8Array.from(numbers));
    fc.assert(
      fc.property(near, fc.integer({ min: 0, max: 400 }), expectContained),
      { numRuns: 5000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 0, max: 4096 }), (b, n) => {
        expectContained(b, n);
      }),
      { numRuns: 2000 },
    );
  });

  test("each way to be wrong has its own answer", () => {
    const cases: [string, number[], number, string][] = [
      ["nothing", [], 4, "it ends without literals"],
      ["no last literals", [0x10, 1, 1, 0], 5, "it ends without literals"],
      ["literals past the end", [0x20, 1], 2, "literals run past its end"],
      ["literals beyond the page", [0x20, 1, 2], 1, "it holds more bytes than a page"],
      ["a literal length past the end", [0xf0, 255], 400, "a length runs past its end"],
      ["half a distance", [0x10, 1, 1], 9, "a distance runs past its end"],
      ["distance 0", [0x10, 1, 0, 0, 0], 9, "a distance of 0 at byte 1"],
      ["a distance before the page", [0x10, 1, 2, 0, 0], 9, "a distance of 2 at byte 1"],
      ["a match length past the end", [0x1f, 1, 1, 0], 99, "a length runs past its end"],
      ["a match beyond the page", [0x10, 1, 1, 0, 0], 4, "it holds more bytes than a page"],
      ["too few bytes", [0x10, 1], 2, "it holds 1 bytes instead of 2"],
    ];
    for (const [, numbers, length, wanted] of cases) {
      const block = Uint8Array.from(numbers);
      expect(decompressBlock(block, 0, block.length, new Uint8Array(length))).toBe(wanted);
    }
  });

  test("a target one byte too short or too long is refused", () => {
    fc.assert(
      fc.property(content.filter((bytes) => bytes.length > 0), (bytes) => {
        const block = compressed(bytes);
        for (const length of [bytes.length - 1, bytes.length + 1]) {
          expect(decompressBlock(block, 0, block.length, new Uint8Array(length))).not.toBeNull();
        }
      }),
    );
  });

  test("a block that is cut short is refused", () => {
    fc.assert(
      fc.property(content.filter((bytes) => bytes.length > 0), fc.nat(), (bytes, at) => {
        const block = compressed(bytes);
        const end = at % block.length;
        expect(decompressBlock(block, 0, end, new Uint8Array(bytes.length))).not.toBeNull();
      }),
    );
  });
});

function compressed(bytes: Uint8Array): Uint8Array {
  // It starts at an odd place of a larger target, so that a wrong offset shows.
  const target = new Uint8Array(3 + compressedBytesMax(bytes.length));
  return target.slice(3, compressBlock(bytes, target, 3));
}

/** It agrees with the naive reading on what is a block and on the bytes, and stays in its target. */
function expectContained(block: Uint8Array, length: number): void {
  const frame = new Uint8Array(length + 32).fill(0xa5);
  const target = frame.subarray(16, 16 + length);
  const wrong = decompressBlock(block, 0, block.length, target);
  const wanted = decompressNaive(block, length);
  expect(wrong === null).toBe(wanted !== null);
  if (wanted !== null) expect(Buffer.compare(target, wanted)).toBe(0);
  expect(frame.subarray(0, 16).every((byte) => byte === 0xa5)).toBe(true);
  expect(frame.subarray(16 + length).every((byte) => byte === 0xa5)).toBe(true);
}

/** The format's text, byte by byte: null for anything that does not fill `length` exactly. */
function decompressNaive(block: Uint8Array, length: number): Uint8Array | null {
  const out: number[] = [];
  let at = 0;
  const next = () => block[at++];
  const lengthFrom = (nibble: number): number | null => {
    let total = nibble;
    for (let byte = nibble === 15 ? 255 : 0; byte === 255;) {
      const more = next();
      if (more === undefined) return null;
      total += byte = more;
    }
    return total;
  };
  while (true) {
    const token = next();
    if (token === undefined) return null;
    const literals = lengthFrom(token >> 4);
    if (literals === null || out.length + literals > length) return null;
    for (let i = 0; i < literals; i++) {
      const byte = next();
      if (byte === undefined) return null;
      out.push(byte);
    }
    if (at === block.length) return out.length === length ? Uint8Array.from(out) : null;
    const [low, high] = [next(), next()];
    if (low === undefined || high === undefined) return null;
    const distance = low + 256 * high;
    const match = lengthFrom(token & 15);
    if (distance === 0 || distance > out.length || match === null) return null;
    if (out.length + match + 4 > length) return null;
    for (let i = 0; i < match + 4; i++) out.push(out[out.length - distance]!);
  }
}

interface Sequence {
  readonly literals: number;
  /** Where the match begins in the plain bytes. */
  readonly at: number;
}

/** A second, naive reading of a block's structure. */
function parse(block: Uint8Array): Sequence[] {
  const sequences: Sequence[] = [];
  let at = 0;
  let plain = 0;
  const length = (nibble: number) => {
    let total = nibble;
    if (nibble === 15) {
      let byte = 255;
      while (byte === 255) total += byte = block[at++]!;
    }
    return total;
  };
  while (at < block.length) {
    const token = block[at++]!;
    const literals = length(token >> 4);
    at += literals;
    plain += literals;
    sequences.push({ literals, at: plain });
    if (at >= block.length) break;
    at += 2;
    plain += length(token & 15) + 4;
  }
  return sequences;
}

function repeat(piece: Uint8Array, times: number): Uint8Array {
  return concat(Array.from({ length: times }, () => piece));
}

function noise(length: number, seed = 0): Uint8Array {
  let state = length + 1 + seed;
  return Uint8Array.from({ length }, () => (state = (state * 48_271) % 0x7fff_ffff) & 255);
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}
