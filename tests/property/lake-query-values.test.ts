/** Values of results are what they were: dates as the runtime has them, floats to the last bit. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { isoTimestamp } from "../../src/lake/query/iso-time.ts";
import { shortestFloat32 } from "../../src/lake/query/scalar-text.ts";

/** ISO 8601 as the runtime writes it, whose years begin at -271821. */
const MOMENT = fc.integer({ min: -8_640_000_000_000_000, max: 8_640_000_000_000_000 });

test("a moment in milliseconds has the text that the runtime gives it", () => {
  fc.assert(fc.property(MOMENT, (ms) => {
    const text = isoTimestamp(BigInt(ms), 1_000n, "Z");
    expect(text).toBe(new Date(ms).toISOString().replace(".000Z", "Z"));
  }));
});

test("a moment in finer units begins with the same text", () => {
  const unit = fc.constantFrom(1_000_000n, 1_000_000_000n);
  fc.assert(fc.property(MOMENT, unit, fc.bigInt({ min: 0n, max: 999n }), (ms, perSecond, rest) => {
    const units = BigInt(ms) * (perSecond / 1_000n) + rest;
    const [seconds] = isoTimestamp(units, perSecond).split(".");
    expect(seconds).toBe(new Date(ms).toISOString().slice(0, -5));
  }));
});

test("a 32-bit float is the same float again, in nine digits at most", () => {
  fc.assert(fc.property(fc.float({ noNaN: true }), (value) => {
    const shortest = shortestFloat32(value);
    expect(Math.fround(shortest)).toBe(value);
    const digits = String(Math.abs(shortest)).replace(/e.*|Infinity/, "").replace(".", "");
    expect(digits.replace(/^0+|0+$/g, "").length).toBeLessThanOrEqual(9);
  }));
});
