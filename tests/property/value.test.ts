import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import fc from "fast-check";
import { bind } from "../../src/database/parameters.ts";
import { checkStatement } from "../../src/database/rules.ts";
import type { JsonValue } from "../../src/database/statement.ts";
import { encodeRow, type SqlValue } from "../../src/database/value.ts";

const database = new Database(":memory:", { safeIntegers: true });

function roundTrip(value: JsonValue): { readonly type: string; readonly value: JsonValue } {
  const bound = bind(checkStatement("SELECT typeof(?1), ?1", "query"), [value]);
  const row = database.prepare(bound.sql).values(...bound.values)[0] as SqlValue[];
  const [type, out] = JSON.parse(encodeRow(row));
  return { type, value: out };
}

test("every 64-bit integer comes back as itself", () => {
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (integer) => {
    const { type, value } = roundTrip({ integer: String(integer) });
    expect(type).toBe("integer");
    const text = typeof value === "object" && value !== null && "integer" in value
      ? value.integer
      : String(value);
    expect(BigInt(text)).toBe(integer);
  }));
  fc.assert(fc.property(fc.maxSafeInteger(), (integer) => {
    expect(roundTrip(integer)).toEqual({ type: "integer", value: integer });
  }));
});

test("every real comes back as the same real, whole ones too", () => {
  const real = fc.oneof(
    fc.double({ noNaN: true }),
    fc.maxSafeInteger(),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 }),
  );
  fc.assert(
    fc.property(real, (number) => {
      const text = Object.is(number, -0) ? "-0.0" : String(number);
      const { type, value } = roundTrip({ real: text });
      expect(type).toBe("real");
      const out = typeof value === "object" && value !== null && "real" in value
        ? Number(value.real)
        : value;
      expect(Object.is(out, number)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test("every text comes back as itself, a lone surrogate as U+FFFD", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    expect(roundTrip(text)).toEqual({ type: "text", value: text.toWellFormed() });
  }));
});

test("every blob comes back as itself", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    expect(roundTrip({ base64: bytes.toBase64() }))
      .toEqual({ type: "blob", value: { base64: bytes.toBase64() } });
  }));
});
