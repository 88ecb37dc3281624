import { expect, test } from "bun:test";
import fc from "fast-check";
import { findJsonError } from "../../src/http/json-position.ts";

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const pieces = fc.constantFrom(
  ...'{ } [ ] , : " 1 -1 0 01 1. 1e5 1e -  true false null nul \\ \\u00e9 \\u0 "a" "\\x" a é \n \t \u0001 \u00a0'
    .split(" "),
  " ",
);

test("finds an error in exactly those texts that are not JSON", () => {
  const texts = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(texts, (text) => {
      expect(findJsonError(text) === null).toBe(parses(text));
    }),
    { numRuns: 5_000 },
  );
});

test("finds no error in any JSON, and the place of a broken character in it", () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (json, where) => {
      expect(findJsonError(json)).toBeNull();
      const at = where % (json.length + 1);
      const broken = `${json.slice(0, at)}\u0001${json.slice(at)}`;
      const found = findJsonError(broken);
      // A broken word, as in "fal\u0001se", is shown from its beginning.
      expect(found?.line).toBe(1);
      expect(found?.column).toBeWithin(at + 1 - "fals".length, at + 2);
    }),
    { numRuns: 1_000 },
  );
});

test("a million open brackets are no trouble", () => {
  expect(findJsonError("[".repeat(1_000_000))).toMatchObject({ reason: "unexpected end" });
});
