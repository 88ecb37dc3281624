import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Failure } from "../../src/base/failure.ts";
import { decodeEpoch, decodeHeader, decodeTrailer, EpochDecoder } from "../../src/epoch/decode.ts";
import { PageSlab } from "../../src/epoch/page-slab.ts";
import { encodeEpoch, EpochEncoder } from "../../src/epoch/encode.ts";
import type { EpochHeader, EpochKind, Page } from "../../src/epoch/epoch.ts";

const U64_MAX = (1n << 64n) - 1n;
const KINDS: readonly EpochKind[] = ["data", "claim", "resignation", "tombstone"];
const PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

interface Given {
  readonly header: EpochHeader;
  readonly pages: readonly Page[];
}

const u64 = fc.bigInt({ min: 0n, max: U64_MAX });

/** An object with few pages of any size and content; from epoch 1 on it is whole. */
function given(pageSizes = PAGE_SIZES, pagesMax = 6): fc.Arbitrary<Given> {
  return fc.record({
    pageSize: fc.constantFrom(...pageSizes),
    numbers: fc.uniqueArray(fc.integer({ min: 1, max: 5000 }), { maxLength: pagesMax }),
    whole: fc.boolean(),
    first: fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER - 10 }),
    more: fc.nat(10),
    timestampMs: fc.maxSafeNat(),
    seed: fc.nat(),
    kind: fc.constantFrom(...KINDS),
    words: fc.tuple(u64, u64, u64),
  }).map(({ pageSize, numbers, whole, first, more, timestampMs, seed, kind, words }) => {
    const ascending = whole
      ? Array.from({ length: Math.max(1, numbers.length) }, (_, index) => index + 1)
      : numbers.sort((a, b) => a - b);
    const header: EpochHeader = {
      pageSize,
      commit: (ascending.at(-1) ?? 1) + (whole ? 0 : more),
      minEpoch: whole ? 1 : first,
      maxEpoch: (whole ? 1 : first) + more,
      timestampMs,
      nodeId: words[0],
      databaseChecksum: words[1],
      link: words[2],
      kind,
    };
    return { header, pages: ascending.map((number) => page(number, pageSize, seed)) };
  });
}

describe("an encoded epoch", () => {
  test("comes back as it was, for all page sizes and kinds", () => {
    fc.assert(
      fc.property(given(), ({ header, pages }) => {
        const { bytes, fileChecksum } = encodeEpoch(header, pages);
        const decoded = decodeEpoch(bytes, "x.ltx");
        expect(decoded.header).toEqual(header);
        expect(decoded.fileChecksum).toBe(fileChecksum);
        expectSamePages(decoded.pages, pages);
        expect(decodeHeader(bytes.subarray(0, 100), "x.ltx")).toEqual(header);
        expect(decodeTrailer(bytes.subarray(-16), "x.ltx")).toBe(fileChecksum);
      }),
      { numRuns: 200 },
    );
  });

  test("written page by page and read in any chunks is the same", () => {
    fc.assert(
      fc.property(
        given(),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 }),
        ({ header, pages }, lengths) => {
          const { bytes, fileChecksum } = encodeEpoch(header, pages);
          const encoder = new EpochEncoder();
          const pieces = [encoder.begin(header), ...pages.map((page) => encoder.page(page))];
          const end = encoder.end();
          expect(Buffer.concat([...pieces, end.bytes]).equals(bytes)).toBe(true);
          expect(encoder.size).toBe(bytes.length);
          expect(end.fileChecksum).toBe(fileChecksum);

          // Into memory of their own, and into memory that is used again.
          for (const slab of [null, new PageSlab()]) {
            const decoder = new EpochDecoder("x.ltx", slab);
            const found: Page[] = [];
            let at = 0;
            for (let i = 0; at < bytes.length; i++) {
              const length = lengths[i % lengths.length]!;
              slab?.reset();
              for (const { number, bytes: read } of decoder.push(bytes.subarray(at, at + length))) {
                found.push({ number, bytes: slab ? read.slice() : read });
              }
              at += length;
            }
            expect(decoder.finish()).toEqual({ header, fileChecksum });
            expectSamePages(found, pages);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("with any bit flipped is corrupt, or in a block means the same pages", () => {
    fc.assert(
      fc.property(given([512, 1024], 3), fc.array(fc.nat(), { minLength: 40 }), (epoch, bits) => {
        const { bytes } = encodeEpoch(epoch.header, epoch.pages);
        const blocks = blockRanges(bytes);
        for (const bit of bits) {
          const at = (bit >> 3) % bytes.length;
          const damaged = bytes.slice();
          damaged[at]! ^= 1 << (bit & 7);
          const inBlock = blocks.some(([start, end]) => at >= start && at < end);
          expectCorruptOr(damaged, inBlock ? epoch : null);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("with every single bit flipped, one after the other, is never wrong pages", () => {
    const pages = [page(1, 512, 5), page(2, 512, 6), page(9, 512, 7)];
    const header = { ...HEADER, commit: 9 };
    const { bytes } = encodeEpoch(header, pages);
    const blocks = blockRanges(bytes);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const inBlock = blocks.some(([start, end]) => bit >> 3 >= start && bit >> 3 < end);
      expectCorruptOr(damaged, inBlock ? { header, pages } : null);
    }
  });

  test("cut anywhere, or with bytes after it, is corrupt", () => {
    fc.assert(
      fc.property(given([512, 4096], 4), fc.array(fc.nat(), { minLength: 20 }), (epoch, cuts) => {
        const { bytes } = encodeEpoch(epoch.header, epoch.pages);
        for (const cut of cuts) expectCorrupt(bytes.subarray(0, cut % bytes.length));
        expectCorrupt(Buffer.concat([bytes, new Uint8Array(1 + (cuts[0] ?? 0) % 100)]));
      }),
      { numRuns: 60 },
    );
  });

  test("replaced in part by noise is corrupt or the same pages", () => {
    fc.assert(
      fc.property(given([512, 4096], 4), fc.nat(), fc.uint8Array({ minLength: 1 }), (e, at, b) => {
        const { bytes } = encodeEpoch(e.header, e.pages);
        const damaged = bytes.slice();
        const start = at % bytes.length;
        damaged.set(b.subarray(0, bytes.length - start), start);
        expectCorruptOr(damaged, e);
      }),
      { numRuns: 300 },
    );
  });

  test("does not depend on what was decoded or encoded before", () => {
    fc.assert(
      fc.property(given([512, 65_536], 3), given([4096], 3), (first, second) => {
        const wanted = encodeEpoch(first.header, first.pages).bytes;
        const decoder = new EpochDecoder("x.ltx");
        const other = encodeEpoch(second.header, second.pages).bytes;
        const found = decoder.push(wanted.subarray(0, 700));
        expectSamePages(decodeEpoch(other, "y.ltx").pages, second.pages);
        found.push(...decoder.push(wanted.subarray(700)));
        decoder.finish();
        expectSamePages(found, first.pages);
        expect(encodeEpoch(first.header, first.pages).bytes).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });
});

describe("random bytes", () => {
  test("are corrupt, after a header too, and take no time", () => {
    const start = encodeEpoch({ ...HEADER, commit: 4_000_000_000 }, []).bytes.subarray(0, 100);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, withHeader) => {
        expectCorrupt(withHeader ? Buffer.concat([start, bytes]) : bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test("that claim enormous pages and sizes make the decoder take no memory for them", () => {
    const start = encodeEpoch({ ...HEADER, pageSize: 65_536, commit: 4e9 }, []).bytes;
    const frame = [0, 0, 0, 2, 0, 1, 0xff, 0xff, 0xff, 0xff];
    const decoder = new EpochDecoder("x.ltx");
    decoder.push(start.subarray(0, 100));
    expect(() => decoder.push(Uint8Array.from(frame))).toThrow("compressed to 4294967295 bytes");
    expect(() => decoder.push(new Uint8Array(1))).toThrow("compressed to 4294967295 bytes");
    expect(() => decoder.finish()).toThrow("compressed to 4294967295 bytes");
  });
});

const HEADER: EpochHeader = {
  pageSize: 512,
  commit: 9,
  minEpoch: 7,
  maxEpoch: 7,
  timestampMs: 1_700_000_000_000,
  nodeId: 7n,
  databaseChecksum: 8n,
  link: 9n,
  kind: "data",
};

/** Half text-like, half noise, different for every page. */
function page(number: number, pageSize: number, seed: number): Page {
  let state = (seed % 1_000_003) * 5003 + number;
  const bytes = Uint8Array.from({ length: pageSize }, (_, index) => {
    state = (state * 48_271 + 11) % 0x7fff_ffff;
    return index % 64 < 40 ? index % 8 : state & 255;
  });
  return { number, bytes };
}

function expectSamePages(found: readonly Page[], wanted: readonly Page[]): void {
  expect(found.map(({ number }) => number)).toEqual(wanted.map(({ number }) => number));
  found.forEach(({ bytes }, index) => {
    expect(Buffer.compare(bytes, wanted[index]!.bytes)).toBe(0);
  });
}

function expectCorrupt(bytes: Uint8Array): void {
  expectCorruptOr(bytes, null);
}

/** Decodes at once and in two chunks: both give `corrupt`, or both exactly these pages. */
function expectCorruptOr(bytes: Uint8Array, same: Given | null): void {
  const outcomes = [bytes.length, bytes.length >> 1, 99].map((cut) => {
    try {
      const decoder = new EpochDecoder("chain/x.ltx");
      const pages = decoder.push(bytes.subarray(0, cut));
      pages.push(...decoder.push(bytes.subarray(cut)));
      return { ...decoder.finish(), pages };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      expect(error.kind).toBe("corrupt");
      expect(error.message).toMatch(/^Cannot decode chain\/x\.ltx: at byte \d+: /);
      return error.message;
    }
  });
  const [first] = outcomes;
  if (typeof first === "string") return expect(outcomes).toEqual([first, first, first]);
  if (same === null) throw new Error("damaged bytes were taken");
  for (const outcome of outcomes) {
    if (typeof outcome === "string") throw new Error(`only some chunkings refuse: ${outcome}`);
    expect(outcome.header).toEqual(same.header);
    expectSamePages(outcome.pages, same.pages);
  }
}

/** Where the LZ4 blocks lie, in which several bytes can mean the same page. */
function blockRanges(bytes: Uint8Array): [number, number][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const ranges: [number, number][] = [];
  for (let at = 100; view.getUint32(at) !== 0;) {
    const end = at + 10 + view.getUint32(at + 6);
    ranges.push([at + 10, end]);
    at = end;
  }
  return ranges;
}
