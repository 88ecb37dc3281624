import { describe, expect, test } from "bun:test";
import { isFailure } from "../../../../src/base/failure.ts";
import {
  FLAG,
  FRAME,
  FrameReader,
  goawayFrame,
  pingAckFrame,
  rstStreamFrame,
  SETTING,
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHeader,
} from "../../../../src/cli/bench/h2-frames.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

type Frame = [type: number, flags: number, stream: number, payload: string];

function reader(frames: Frame[], payloadBytesMax?: number): FrameReader {
  return new FrameReader((type, flags, stream, bytes, start, end) => {
    frames.push([type, flags, stream, hex(bytes.subarray(start, end))]);
  }, payloadBytesMax);
}

describe("writing", () => {
  test("a frame header is length, type, flags and stream id", () => {
    const out = new Uint8Array(11);
    expect(writeFrameHeader(out, 1, 0x01_02_03, FRAME.headers, 5, 0x7fff_fffe)).toBe(10);
    expect(hex(out)).toBe("00" + "010203" + "01" + "05" + "7ffffffe" + "00");
  });

  test("each control frame has the layout of RFC 9113, section 6", () => {
    expect(hex(settingsFrame([[SETTING.headerTableSize, 0], [SETTING.initialWindowSize, 65536]])))
      .toBe("00000c" + "04" + "00" + "00000000" + "000100000000" + "000400010000");
    expect(hex(settingsAckFrame())).toBe("000000" + "04" + "01" + "00000000");
    expect(hex(pingAckFrame(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))))
      .toBe("000008" + "06" + "01" + "00000000" + "0102030405060708");
    expect(hex(windowUpdateFrame(3, 0x7fff_ffff)))
      .toBe("000004" + "08" + "00" + "00000003" + "7fffffff");
    expect(hex(rstStreamFrame(5, 8))).toBe("000004" + "03" + "00" + "00000005" + "00000008");
    expect(hex(goawayFrame(7, 1)))
      .toBe("000008" + "07" + "00" + "00000000" + "00000007" + "00000001");
  });
});

describe("reading", () => {
  const bytes = Buffer.concat([
    settingsFrame([[SETTING.maxFrameSize, 16384]]),
    settingsAckFrame(),
    windowUpdateFrame(9, 77),
    goawayFrame(3, 0),
  ]);
  const expected: Frame[] = [
    [FRAME.settings, 0, 0, "000500004000"],
    [FRAME.settings, FLAG.ack, 0, ""],
    [FRAME.windowUpdate, 0, 9, "0000004d"],
    [FRAME.goaway, 0, 0, "0000000300000000"],
  ];

  test("frames are the same wherever the stream is cut", () => {
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second += 5) {
        const frames: Frame[] = [];
        const read = reader(frames);
        read.push(bytes.subarray(0, first));
        read.push(bytes.subarray(first, second));
        read.push(bytes.subarray(second));
        expect(frames).toEqual(expected);
      }
    }
  });

  test("an incomplete frame survives that its chunk is overwritten", () => {
    const frames: Frame[] = [];
    const read = reader(frames);
    const chunk = Uint8Array.from(bytes.subarray(0, 30));
    read.push(chunk);
    chunk.fill(0xff);
    read.push(bytes.subarray(30));
    expect(frames).toEqual(expected);
  });

  test("the reserved bit of a stream id is ignored", () => {
    const frames: Frame[] = [];
    reader(frames).push(Uint8Array.of(0, 0, 0, 0, 0, 0x80, 0, 0, 1));
    expect(frames).toEqual([[FRAME.data, 0, 1, ""]]);
  });

  test("a frame above the limit is refused before its payload has come", () => {
    const frames: Frame[] = [];
    const header = new Uint8Array(9);
    writeFrameHeader(header, 0, 101, FRAME.data, 0, 1);
    let failure: unknown;
    try {
      reader(frames, 100).push(header);
    } catch (error) {
      failure = error;
    }
    expect(isFailure(failure, "invalid")).toBe(true);
    expect(String(failure)).toContain("101 bytes");
    expect(frames).toEqual([]);
  });
});
