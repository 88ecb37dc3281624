import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { Crc64 } from "../../../src/epoch/crc64.ts";
import { decodeEpoch, decodeHeader, decodeTrailer } from "../../../src/epoch/decode.ts";
import { encodeEpoch, EpochEncoder } from "../../../src/epoch/encode.ts";
import { type EpochHeader, lockPage } from "../../../src/epoch/epoch.ts";

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
const blank = (number: number, pageSize = 512) => ({ number, bytes: new Uint8Array(pageSize) });

describe("a failure says what and where", () => {
  const cases: [string, (bytes: Uint8Array, view: DataView) => void, string][] = [
    ["another file", (bytes) => bytes.set([0x50, 0x4b]), "at byte 0: it does not begin with LTX1"],
    ["a later format", (b) => b.set([0x32], 3), "at byte 0: format LTX2, which this version does"],
    ["an unknown flag", (_, view) => view.setUint32(4, 6), "at byte 4: flags 0x6, which this"],
    ["no flag", (_, view) => view.setUint32(4, 0), "at byte 4: the flag NoChecksum is missing"],
    ["a page size", (_, view) => view.setUint32(8, 600), "at byte 8: a page size of 600"],
    ["a huge page", (_, view) => view.setUint32(8, 0x20000), "at byte 8: a page size of 131072"],
    ["no commit", (_, view) => view.setUint32(12, 0), "at byte 12: a database of 0 pages"],
    ["min > max", (_, view) => view.setUint32(20, 8), "at byte 16: epochs 8 to 7"],
    ["epoch 0", (_, view) => view.setUint32(20, 0), "at byte 16: epochs 0 to 7"],
    [
      "2^53",
      (_, view) => view.setUint32(24, 1 << 21),
      "at byte 24: a last epoch of 90071992547409",
    ],
    ["a time", (_, view) => view.setUint32(32, 1 << 31), "at byte 32: a timestamp of 9223"],
    ["pre-apply", (_, view) => view.setUint32(44, 1), "at byte 44: a field that must be 0 is not"],
    ["WAL salt", (_, view) => view.setUint32(68, 1), "at byte 68: a field that must be 0 is not"],
    [
      "a kind",
      (_, view) => view.setUint32(96, 4),
      "at byte 96: kind 4, which this version does not",
    ],
  ];
  for (const [name, change, message] of cases) {
    test(`of the header: ${name}`, () => {
      const { bytes } = encodeEpoch(HEADER, [blank(1)]);
      change(bytes, new DataView(bytes.buffer));
      expectCorrupt(() => decodeHeader(bytes, "databases/orders/7.ltx"), message);
      expectCorrupt(() => decodeEpoch(bytes, "databases/orders/7.ltx"), message);
    });
  }

  test("of a header that is cut short", () => {
    expectCorrupt(() => decodeHeader(new Uint8Array(99), "x"), "it ends within the header");
    expectCorrupt(
      () => decodeEpoch(new Uint8Array(0), "x"),
      "at byte 0: it ends within the header",
    );
  });

  test("of a trailer", () => {
    expectCorrupt(() => decodeTrailer(new Uint8Array(15), "x"), "15 instead of 16 bytes");
    expectCorrupt(() => decodeTrailer(new Uint8Array(16), "x"), "without its top bit");
    expectCorrupt(() => decodeTrailer(new Uint8Array(16).fill(255), "x"), "post-apply checksum");
  });

  const frames: [string, [number, number][], Partial<EpochHeader>, string][] = [
    ["a page twice", [[3, 1], [3, 1]], {}, "page 3 after page 3"],
    ["pages that descend", [[3, 1], [2, 1]], {}, "page 2 after page 3"],
    ["a page above the commit", [[10, 1]], {}, "page 10 of a database of 9 pages"],
    ["a page without a number", [[0, 1]], {}, "page 0 after page 0"],
    ["flags", [[2, 3]], {}, "flags 0x3 of page 2, which this version does not know"],
    ["an old frame", [[2, 0]], {}, "flags 0x0 of page 2, which this version does not know"],
    ["no page 1", [[2, 1]], { minEpoch: 1 }, "page 2 instead of 1"],
    ["a hole", [[1, 1], [3, 1]], { minEpoch: 1 }, "page 3 instead of 2"],
    ["a missing end", [[1, 1]], { minEpoch: 1, commit: 2 }, "page 2 of 2 is missing"],
    [
      "the lock page",
      [[16385, 1]],
      { commit: 20000, pageSize: 65536 },
      "page 16385, which is the lock page",
    ],
  ];
  for (const [name, numbers, fields, message] of frames) {
    test(`of the frames, though the checksum is right: ${name}`, () => {
      const bytes = forge({ ...HEADER, ...fields }, numbers);
      expectCorrupt(() => decodeEpoch(bytes, "x.ltx"), message);
    });
  }

  test("of an index that does not agree with the pages, though the checksum is right", () => {
    const { bytes } = encodeEpoch(HEADER, [blank(1), blank(2)]);
    const index = bytes.length - 16 - 8 - 7;
    expect([...bytes.subarray(index, index + 2)]).toEqual([1, 100]);
    bytes[index + 1] = 101;
    expectCorrupt(() => decodeEpoch(sealed(bytes, 2), "x"), `at byte ${index + 1}: the page index`);
  });

  test("of a checksum", () => {
    const { bytes } = encodeEpoch(HEADER, [blank(1)]);
    bytes[85]! ^= 1;
    const message = `at byte ${bytes.length - 8}: the file checksum is `;
    expectCorrupt(() => decodeEpoch(bytes, "x"), message);
  });
});

describe("the encoder", () => {
  const refusals: [
    string,
    Partial<EpochHeader>,
    { number: number; bytes: Uint8Array }[],
    string,
  ][] = [
    ["pages out of order", {}, [blank(2), blank(1)], "page 1 follows page 2"],
    ["a page twice", {}, [blank(2), blank(2)], "page 2 follows page 2"],
    ["a page above the commit", {}, [blank(10)], "page 10 lies above commit 9"],
    ["a page of another size", {}, [blank(1, 1024)], "page 1 has 1024 bytes, not 512"],
    ["an object from epoch 1 with a hole", { minEpoch: 1 }, [blank(1), blank(3)], "page 2 is"],
    ["an object from epoch 1 without its end", { minEpoch: 1 }, [blank(1)], "page 2 is missing"],
    ["a page size", { pageSize: 513 }, [], "page size 513"],
    ["epochs that descend", { minEpoch: 8 }, [], "epochs 8 to 7"],
    ["epoch 0", { minEpoch: 0 }, [], "epochs 0 to 7"],
    ["a negative link", { link: -1n }, [], "-1 is an unsigned"],
    ["a commit of 0", { commit: 0 }, [], "commit 0"],
    ["a fraction of a millisecond", { timestampMs: 1.5 }, [], "timestamp 1.5"],
    [
      "the lock page",
      { pageSize: 65536, commit: 20000 },
      [blank(lockPage(65536), 65536)],
      "16385 is the lock page",
    ],
  ];
  for (const [name, fields, pages, message] of refusals) {
    test(`asserts against ${name}`, () => {
      expect(() => encodeEpoch({ ...HEADER, ...fields }, pages)).toThrow(message);
    });
  }

  test("skips the lock page in a whole database that is larger than 1 GiB", () => {
    const header = { ...HEADER, pageSize: 65536, minEpoch: 1, commit: 16387 };
    const encoder = new EpochEncoder();
    const page = new Uint8Array(65536);
    encoder.begin(header);
    for (let number = 1; number <= 16384; number++) encoder.page({ number, bytes: page });
    encoder.page({ number: 16386, bytes: page });
    encoder.page({ number: 16387, bytes: page });
    expect(encoder.end().bytes.length).toBeGreaterThan(16386 * 5);
  });
});

function expectCorrupt(decode: () => unknown, message: string): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect(error.kind).toBe("corrupt");
    expect(error.message).toContain(message);
    return;
  }
  throw new Error(`decoded what should be corrupt: ${message}`);
}

/** An object of all-zero pages with these numbers and flags, right in everything else. */
function forge(header: EpochHeader, numbers: readonly [number, number][]): Uint8Array {
  const whole = { ...header, minEpoch: 2, commit: 20_000 };
  const template = encodeEpoch(whole, numbers.map((_, index) => blank(index + 1, header.pageSize)));
  const bytes = template.bytes;
  const view = new DataView(bytes.buffer);
  view.setUint32(12, header.commit);
  view.setBigUint64(16, BigInt(header.minEpoch));
  let at = 100;
  for (const [number, flags] of numbers) {
    view.setUint32(at, number);
    view.setUint16(at + 4, flags);
    at += 10 + view.getUint32(at + 6);
  }
  return sealed(bytes, numbers.length, header.pageSize);
}

/** Sets the right checksum over an object of all-zero pages that was changed. */
function sealed(bytes: Uint8Array, pages: number, pageSize = 512): Uint8Array {
  const view = new DataView(bytes.buffer);
  const crc = new Crc64();
  crc.update(bytes.subarray(0, 100));
  let at = 100;
  for (let page = 0; page < pages; page++) {
    crc.update(bytes.subarray(at, at + 10));
    crc.update(new Uint8Array(pageSize));
    at += 10 + view.getUint32(at + 6);
  }
  crc.update(bytes.subarray(at, bytes.length - 8));
  view.setBigUint64(bytes.length - 8, crc.value | (1n << 63n));
  return bytes;
}
