/**
 * Bytes that were not made by us: the header by hand, an object by the reference encoder
 * (superfly/ltx 0.5.2), a checksum from the catalogue of CRCs.
 */
import { expect, test } from "bun:test";
import { Crc64 } from "../../../src/epoch/crc64.ts";
import { decodeEpoch, decodeHeader } from "../../../src/epoch/decode.ts";
import { encodeEpoch } from "../../../src/epoch/encode.ts";
import { encodeHeader } from "../../../src/epoch/header.ts";
import type { EpochHeader } from "../../../src/epoch/epoch.ts";

const HEADER: EpochHeader = {
  pageSize: 4096,
  commit: 0x01020304,
  minEpoch: 0x1_0000_0002,
  maxEpoch: 0x1_0000_0003,
  timestampMs: 0x018b_cfe5_687b,
  nodeId: 0x0123456789abcdefn,
  databaseChecksum: 0xfedcba9876543210n,
  link: 0x8000000000000001n,
  kind: "tombstone",
};

const HEADER_HEX = [
  "4c545831 00000002 00001000 01020304",
  "0000000100000002 0000000100000003",
  "0000018bcfe5687b 0000000000000000",
  "0000000000000000 0000000000000000",
  "00000000 00000000 0123456789abcdef",
  "fedcba9876543210 8000000000000001 00000003",
].join("").replaceAll(" ", "");

const REFERENCE_OBJECT =
  "TFRYMQAAAAIAAAIAAAAABwAAAAAAAAAFAAAAAAAAAAYAAAGLz+VoewAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" +
  "AAAAAAASNFZ4mrze8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAQAAAB9/AAECAwQFBgcA/9MA4wEA6gHAAwQFBgAB" +
  "AgMEBQYAAAAABgABAAACA/D/8gADDyI+YIu9+DmD1C6O92fgX+d2DqxTAbh1Owjeup+LgHt/ip642wU4cbP8TqYHb+" +
  "BX117uhCPJeC3rsH5SLxMA8+/y/hArTXip4yRuvhd34E/HRs5c85E45ZtYHuq/m4BrX1peaHuVuOETTI7WJ3/gR7cu" +
  "rjTDWfidSwC+gk8jAOPPwr7Ay934GUN0ru43h+A/pxaODJMhuFX7qF4a36uAWz8qHhgbJThRc5zOBkeP4DeX/m7kY+" +
  "l4DatQ/rJvMwDTr5J+cGtteImjxO4eV5fgL4fmTrwzsTjFW/ieSv+7gEsf+t7Iu7W4wdPsDjZnn+And84ulAN5+H0L" +
  "oD7ij0MAw49iPiAL/fj5AxQuTnen4B9ntg5s00G4NbtI3nofy4A7/8qeeFtFODEzPE5mh6/gF1ee7kSjCXjta/B+Eq" +
  "9TALNvMv7Qq414aWNkbn6Xt+APR4bOHHPROKUbmB6qP9uAK9+aXij71bihk4yOlqe/4Ac3bq70Q5n4XctAvkLPYwCj" +
  "TwK+gEsd+NnDtK6ut8fg/ydWjswTYbgVe+he2l/rgBu/ah7Ym2U4EfPczsbHz+D3Fz5upOMpeM0rkP5y73MAky/Sfj" +
  "DrrXhJIwTu3tfX4O8HJk58s/E4hds4ngp/+4ALnzreiDv1uIFTLA7259/g5/cOLlSDufg9i+A+og+DAAAAAAAAAWQp" +
  "Bo0BjQQAAAAAAAAAAAkAAAAAAAAAAN7BXqMEEOIt";

test("a header is the bytes that the format says", () => {
  expect(Buffer.from(encodeHeader(HEADER)).toString("hex")).toBe(HEADER_HEX);
  expect(decodeHeader(Buffer.from(HEADER_HEX, "hex"), "x.ltx")).toEqual(HEADER);
});

test("an object of the reference encoder decodes to its pages and its checksum", () => {
  const decoded = decodeEpoch(Buffer.from(REFERENCE_OBJECT, "base64"), "x.ltx");
  expect(decoded.header).toEqual({
    pageSize: 512,
    commit: 7,
    minEpoch: 5,
    maxEpoch: 6,
    timestampMs: 1_700_000_000_123,
    nodeId: 0x0123456789abcdefn,
    databaseChecksum: 0n,
    link: 0n,
    kind: "data",
  });
  expect(decoded.fileChecksum).toBe(0xdec15ea30410e22dn);
  expect(decoded.pages).toEqual([
    { number: 1, bytes: Uint8Array.from({ length: 512 }, (_, i) => i % 7) },
    { number: 6, bytes: Uint8Array.from({ length: 512 }, (_, i) => (i * i * 31) >> 3) },
  ]);
});

test("the frames of an object are laid out as the format says", () => {
  const pages = [{ number: 3, bytes: new Uint8Array(512) }];
  const header = { ...HEADER, pageSize: 512 };
  const { bytes, fileChecksum } = encodeEpoch(header, pages);
  // A literal 0, a run of 506 of it (15 + 255 + 232 + 4), and the five last literals.
  const block = "1f 00 0100 ff e8 50 0000000000".replaceAll(" ", "");
  const size = block.length / 2;
  const frame = `00000003 0001 ${size.toString(16).padStart(8, "0")}${block}`.replaceAll(" ", "");
  const index = `03 64 ${(10 + size).toString(16)} 00 0000000000000004`.replaceAll(" ", "");
  const expected = frame + "000000000000" + index + "0000000000000000" +
    fileChecksum.toString(16);
  expect(Buffer.from(bytes.subarray(100)).toString("hex")).toBe(expected);

  const crc = new Crc64();
  crc.update(bytes.subarray(0, 110));
  crc.update(new Uint8Array(512));
  crc.update(bytes.subarray(110 + size, bytes.length - 8));
  expect(fileChecksum).toBe(crc.value | (1n << 63n));
});

test("the check value of CRC-64/GO-ISO is right", () => {
  const crc = new Crc64();
  crc.update(new TextEncoder().encode("123456789"));
  expect(crc.value).toBe(0xb90956c775a41001n);
});
