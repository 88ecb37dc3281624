import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { sign, verify } from "hono/jwt";
import { TOKEN_BYTES_MAX, TOKEN_LIFE_MS_MAX } from "../../../src/base/limits.ts";
import { isFailure } from "../../../src/base/failure.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { type Claims, mintToken, openToken, signToken } from "../../../src/http/token.ts";

const SECRET = "0123456789abcdef".repeat(4);
const CLAIMS: Claims = {
  sub: "alice",
  kind: "user",
  jti: "0123456789abcdef0123456789abcdef",
  iat: 1_800_000_000,
  exp: 1_800_003_600,
  scopes: ["read:orders", "write:shop-*"],
};
const TOKEN = signToken(SECRET, CLAIMS);
const [HEADER = "", PAYLOAD = "", SIGNATURE = ""] = TOKEN.split(".");

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** Genuinely signed, whatever is in it. */
function signed(header: unknown, claims: unknown, secret = SECRET, hash = "sha256"): string {
  const text = `${part(header)}.${part(claims)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest("base64url")}`;
}
const HS256 = { alg: "HS256", typ: "JWT" };

describe("a token", () => {
  test("says what was signed", () => {
    expect(openToken(SECRET, TOKEN)).toEqual(CLAIMS);
  });

  test("is what other JWT libraries make and read of the same secret", async () => {
    expect(openToken(SECRET, await sign({ ...CLAIMS }, SECRET, "HS256"))).toEqual(CLAIMS);
    const options = { alg: "HS256", exp: false, iat: false } as const;
    expect(await verify(TOKEN, SECRET, options)).toEqual({ ...CLAIMS });
  });

  test("is minted for a time, each with an id of its own", () => {
    const random = seededRandom(1);
    const request = { subject: "ci", kind: "node", scopes: ["admin"], lifeMs: 1_500 } as const;
    const [one, two] = [1, 2].map(() =>
      mintToken(SECRET, request, { issuedAtMs: 1_000_999, random })
    );
    expect(one).toMatchObject({ subject: "ci", expires_at: "1970-01-01T00:16:42.000Z" });
    expect(openToken(SECRET, one?.token ?? "")).toMatchObject({
      iat: 1000,
      exp: 1002,
      kind: "node",
    });
    expect(one?.jti).toMatch(/^[0-9a-f]{32}$/);
    expect(two?.jti).not.toBe(one?.jti);
  });

  test("with as many of the longest scopes as there may be is short enough", () => {
    const scopes = Array.from({ length: 64 }, () => `ingest:${"x".repeat(63)}*`);
    const token = signToken(SECRET, { ...CLAIMS, sub: "x".repeat(63), scopes });
    expect(token.length).toBeLessThanOrEqual(TOKEN_BYTES_MAX);
    expect(openToken(SECRET, token).scopes).toEqual(scopes);
  });
});

/** Name, token, part of the message. */
const REFUSED: Readonly<Record<string, readonly [string, string]>> = {
  "that is empty": ["", "not a signed token"],
  "of two parts": [`${HEADER}.${PAYLOAD}`, "not a signed token"],
  "without its signature": [`${HEADER}.${PAYLOAD}.`, "not a signed token"],
  "of four parts": [`${TOKEN}.x`, "not a signed token"],
  "with padding": [`${TOKEN}=`, "not a signed token"],
  "with a space": [` ${TOKEN}`, "not a signed token"],
  "with a line break behind": [`${TOKEN}\n`, "not a signed token"],
  "sent twice in one header": [`${TOKEN}, Bearer ${TOKEN}`, "not a signed token"],
  "of another secret": [signToken("f".repeat(64), CLAIMS), "did not sign it"],
  "of an empty secret": [signed(HS256, CLAIMS, ""), "did not sign it"],
  "whose claims were changed": [
    `${HEADER}.${part({ ...CLAIMS, scopes: ["admin"] })}.${SIGNATURE}`,
    "did not sign it",
  ],
  "whose header was changed": [`${part({ alg: "none" })}.${PAYLOAD}.${SIGNATURE}`, "did not sign"],
  "of the algorithm none": [`${part({ alg: "none", typ: "JWT" })}.${PAYLOAD}.`, "not a signed"],
  "that says none and is signed": [signed({ alg: "none", typ: "JWT" }, CLAIMS), "its header"],
  "that says RS256 and is signed by the secret": [signed({ alg: "RS256" }, CLAIMS), "its header"],
  "that says hs256": [signed({ alg: "hs256" }, CLAIMS), "its header"],
  "with critical extensions": [signed({ ...HS256, crit: ["b64"] }, CLAIMS), "its header"],
  "with a key of its own": [signed({ ...HS256, jwk: { kty: "oct" } }, CLAIMS), "its header"],
  "of HS512": [signed({ alg: "HS512" }, CLAIMS, SECRET, "sha512"), "not a signed token"],
  "whose claims are a list": [signed(HS256, [CLAIMS]), "JSON objects"],
  "with a claim that nobody knows": [signed(HS256, { ...CLAIMS, nbf: 1 }), "does not know"],
  "without a subject": [signed(HS256, { ...CLAIMS, sub: undefined }), "sub"],
  "of anonymous": [signed(HS256, { ...CLAIMS, sub: "anonymous" }), "sub"],
  "of a name that breaks lines": [signed(HS256, { ...CLAIMS, sub: "a\nb" }), "sub"],
  "of another kind": [signed(HS256, { ...CLAIMS, kind: "root" }), "kind"],
  "without an id": [signed(HS256, { ...CLAIMS, jti: "" }), "jti"],
  "without an end": [signed(HS256, { ...CLAIMS, exp: undefined }), "times"],
  "whose end is a text": [signed(HS256, { ...CLAIMS, exp: "9999999999" }), "times"],
  "that ends before it begins": [signed(HS256, { ...CLAIMS, exp: CLAIMS.iat }), "times"],
  "that is good for too long": [
    signed(HS256, { ...CLAIMS, exp: CLAIMS.iat + TOKEN_LIFE_MS_MAX / 1000 + 1 }),
    "366 days",
  ],
  "with a scope that is none": [signed(HS256, { ...CLAIMS, scopes: ["read:a", "x"] }), "scopes"],
  "whose scopes are a text": [signed(HS256, { ...CLAIMS, scopes: "admin" }), "scopes"],
};

describe("a token is refused", () => {
  for (const [name, [token, message]] of Object.entries(REFUSED)) {
    test(name, () => {
      const error = caught(() => openToken(SECRET, token));
      expect(isFailure(error, "denied")).toBe(true);
      expect(String(error)).toContain(message);
      expect(error).toHaveProperty("details.reason", "token_invalid");
      if (token.length > 20) expect(String(error)).not.toContain(token.slice(0, 20));
    });
  }

  test("if any of its characters is another", () => {
    for (let at = 0; at < TOKEN.length; at++) {
      const other = TOKEN[at] === "A" ? "B" : "A";
      const token = TOKEN.slice(0, at) + other + TOKEN.slice(at + 1);
      expect(caught(() => openToken(SECRET, token))).toHaveProperty("kind", "denied");
    }
  });

  test("if only bits that decoding drops are others", () => {
    // The last of 43 characters carries four bits; the two others decode to the same 32 bytes.
    const last = SIGNATURE.at(-1) ?? "";
    const same = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
      .map((character) => SIGNATURE.slice(0, -1) + character)
      .filter((text) =>
        !text.endsWith(last) &&
        Buffer.from(text, "base64url").equals(Buffer.from(SIGNATURE, "base64url"))
      );
    expect(same.length).toBe(3);
    for (const signature of same) {
      const error = caught(() => openToken(SECRET, `${HEADER}.${PAYLOAD}.${signature}`));
      expect(error).toHaveProperty("kind", "denied");
    }
  });

  test("if it is longer than tokens are, before it is looked at", () => {
    const claims = { ...CLAIMS, scopes: Array.from({ length: 2_000 }, () => "read:a") };
    expect(caught(() => openToken(SECRET, signed(HS256, claims)))).toHaveProperty(
      "message",
      `The token is refused: it is longer than ${TOKEN_BYTES_MAX} bytes`,
    );
  });
});

function caught(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
