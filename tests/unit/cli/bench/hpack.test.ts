import { describe, expect, test } from "bun:test";
import { isFailure } from "../../../../src/base/failure.ts";
import { decodeStatus, encodeFields, pushInteger } from "../../../../src/cli/bench/hpack.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const status = (text: string): number => {
  const bytes = Buffer.from(text.replaceAll(" ", ""), "hex");
  // Surrounded by other bytes, so that offsets count.
  const inside = Buffer.concat([Uint8Array.of(0x88, 0xff), bytes, Uint8Array.of(0x88)]);
  return decodeStatus(inside, 2, 2 + bytes.length);
};

describe("encoding", () => {
  test("integers are those of RFC 7541, appendix C.1", () => {
    const encoded = (value: number, bits: number): number[] => {
      const out: number[] = [];
      pushInteger(out, value, bits, 0);
      return out;
    };
    expect(encoded(10, 5)).toEqual([0b01010]);
    expect(encoded(1337, 5)).toEqual([31, 154, 10]);
    expect(encoded(42, 8)).toEqual([42]);
    expect(encoded(31, 5)).toEqual([31, 0]);
  });

  test("literals and indexed fields are those of RFC 7541, appendix C.2", () => {
    expect(hex(encodeFields([{ name: ":path", value: "/sample/path" }])))
      .toBe("040c2f73616d706c652f70617468");
    expect(hex(encodeFields([{ name: "password", value: "secret", secret: true }])))
      .toBe("100870617373776f726406736563726574");
    expect(hex(encodeFields([{ name: ":method", value: "GET" }]))).toBe("82");
  });

  test("a name beyond the four bits of the prefix takes a second byte", () => {
    expect(hex(encodeFields([{ name: "content-type", value: "a/b" }]))).toBe("0f1003612f62");
    expect(hex(encodeFields([{ name: "authorization", value: "x", secret: true }])))
      .toBe("1f080178");
  });

  test("lengths are those of the bytes, not of the characters", () => {
    expect(hex(encodeFields([{ name: "x", value: "ü" }]))).toBe("00" + "0178" + "02c3bc");
    const long = encodeFields([{ name: "x", value: "y".repeat(300) }]);
    expect(hex(long.subarray(0, 6))).toBe("000178" + "7fad01");
    expect(long.length).toBe(306);
  });
});

describe("the status of an answer", () => {
  test("is read from the examples of RFC 7541, appendices C.5 and C.6", () => {
    expect(status("4803333032 580770726976617465")).toBe(302);
    expect(status("4803333037 c1c0bf")).toBe(307);
    expect(status("88 c1 611d")).toBe(200);
    expect(status("488264025885aec3771a4b")).toBe(302);
    expect(status("4883640effc1c0bf")).toBe(307);
  });

  test("is read from every entry of the static table that has one", () => {
    const found = [8, 9, 10, 11, 12, 13, 14].map((index) => status((0x80 + index).toString(16)));
    expect(found).toEqual([200, 204, 206, 304, 400, 404, 500]);
  });

  test("is read in every form that a server may choose, for every status", () => {
    const codes = ["00000", "00001", "00010", "011001", "011010", "011011", "011100", "011101"]
      .concat("011110", "011111");
    for (let value = 100; value <= 999; value++) {
      const plain = `03${hex(Buffer.from(String(value)))}`;
      let bits = [...String(value)].map((digit) => codes[Number(digit)]).join("");
      while (bits.length % 8 !== 0) bits += "1";
      const bytes = bits.match(/.{8}/g)!.map((byte) => parseInt(byte, 2));
      const packed = hex(Uint8Array.of(0x80 | bytes.length, ...bytes));
      const named = `07${hex(Buffer.from(":status"))}`;
      for (const text of [plain, packed]) {
        for (const lead of ["08", "0e", "18", "48", `00${named}`, `40${named}`, "2048"]) {
          expect(status(lead + text)).toBe(value);
        }
      }
    }
  });

  test("is 0 where the block starts with another field", () => {
    expect(status("")).toBe(0);
    expect(status("20")).toBe(0);
    expect(status("0f1003612f62")).toBe(0);
    expect(status("90")).toBe(0);
  });

  test("a damaged block and a reference to a dynamic table are refused", () => {
    const damaged = ["4803333", "48", "4a", "be", "80", "ffffffffffff", "48032041 42", "7f01 00"];
    for (const text of damaged) {
      let failure: unknown;
      try {
        status(text.padEnd(text.length + (text.replaceAll(" ", "").length % 2), "0"));
      } catch (error) {
        failure = error;
      }
      expect([text, isFailure(failure, "invalid")]).toEqual([text, true]);
    }
  });

  test("any bytes give a status, none or a failure", () => {
    let state = 7;
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from({ length: round % 12 }, () => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        return state >>> 24;
      });
      try {
        const value = decodeStatus(bytes, 0, bytes.length);
        expect(value === 0 || (value >= 100 && value <= 999)).toBe(true);
      } catch (error) {
        if (!isFailure(error, "invalid")) throw error;
      }
    }
  });
});
