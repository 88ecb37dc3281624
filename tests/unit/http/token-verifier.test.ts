import { beforeEach, describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { mintToken } from "../../../src/http/token.ts";
import { TokenVerifier } from "../../../src/http/token-verifier.ts";

const SECRET = "0123456789abcdef".repeat(4);
const random = seededRandom(5);

let nowMs: number;
let revoked: Set<string>;
let asked: number;
let verifier: TokenVerifier;
beforeEach(() => {
  nowMs = 1_000_000_000_000;
  revoked = new Set();
  asked = 0;
  verifier = new TokenVerifier({
    secret: SECRET,
    nowMs: () => nowMs,
    isRevoked: ({ jti }) => {
      asked++;
      return revoked.has(jti);
    },
    cachedMax: 8,
  });
});

function mint(lifeMs = 60_000, issuedAtMs = nowMs) {
  const request = { subject: "alice", kind: "user", scopes: ["read:a"], lifeMs } as const;
  return mintToken(SECRET, request, { issuedAtMs, random });
}

describe("a token", () => {
  test("names who asks and what they may", () => {
    const caller = verifier.verify(mint().token);
    expect(caller).toMatchObject({ subject: "alice", kind: "user" });
    expect(caller.grants.allow("read", "a")).toBe(true);
    expect(caller.grants.allow("read", "b")).toBe(false);
  });

  test("is looked at once and then known by its bytes", () => {
    const { token } = mint();
    const first = verifier.verify(token);
    expect(verifier.verify(token)).toBe(first);
    expect(asked).toBe(1);
  });

  test("ends with its last second, known or not, by the time it is given [I11]", () => {
    const { token } = mint(60_000);
    verifier.verify(token);
    nowMs += 59_999;
    verifier.verify(token);
    nowMs += 1;
    expect(() => verifier.verify(token)).toThrow("has expired");
    expect(verifier.cached).toBe(0);
    expect(() => verifier.verify(token)).toThrow("has expired");
  });

  test("that is revoked is refused once that is known", () => {
    const { token, jti } = mint();
    verifier.verify(token);
    revoked.add(jti);
    verifier.forget();
    expect(() => verifier.verify(token)).toThrow("has been revoked");
    expect(verifier.cached).toBe(0);
  });

  test("may be made by a clock that is ahead, but not by one that is far off", () => {
    verifier.verify(mint(60_000, nowMs + 299_000).token);
    expect(() => verifier.verify(mint(60_000, nowMs + 302_000).token)).toThrow("in the future");
  });

  test("that is refused is not kept", () => {
    for (const token of ["", "x", `${mint().token}x`]) {
      expect(() => verifier.verify(token)).toThrow();
    }
    expect(verifier.cached).toBe(0);
  });
});

test("so many tokens are known at most, and those in use stay", () => {
  const { token: used } = mint();
  for (let index = 0; index < 100; index++) {
    verifier.verify(mint().token);
    verifier.verify(used);
    expect(verifier.cached).toBeLessThanOrEqual(8);
  }
  expect(asked).toBe(101);
});
