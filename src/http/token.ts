/**
 * Signed tokens: JWT (RFC 7519) with HS256 and nothing else. The algorithm is ours and never the
 * token's, the signature is checked before anything in the token is read, and a claim that we do not
 * know refuses the token, since leaving it out could allow more than was meant.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { assert } from "../base/assert.ts";
import { TOKEN_BYTES_MAX, TOKEN_LIFE_MS_MAX } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { unknownCaller } from "./denied.ts";
import { isScope } from "./scope.ts";

export type SubjectKind = "user" | "node";

export interface Claims {
  /** Name of the user or node. */
  readonly sub: string;
  readonly kind: SubjectKind;
  /** Names this token, to revoke it by. */
  readonly jti: string;
  /** When it was made and until when it is good, seconds since 1970 of the store's time (I11). */
  readonly iat: number;
  readonly exp: number;
  readonly scopes: readonly string[];
}

export interface TokenRequest {
  readonly subject: string;
  readonly kind: SubjectKind;
  readonly scopes: readonly string[];
  readonly lifeMs: number;
}

/** A new token and what is in it, as the API answers it. */
export interface MintedToken {
  readonly token: string;
  readonly jti: string;
  readonly subject: string;
  readonly kind: SubjectKind;
  readonly scopes: readonly string[];
  readonly expires_at: string;
}

const CLAIMS: readonly string[] = ["sub", "kind", "jti", "iat", "exp", "scopes"];
const SUBJECT = /^[a-z0-9][a-z0-9._@-]{0,62}$/;
/** Ours are 32 hex digits; a UUID fits, the cluster's secret does not. */
const TOKEN_ID = /^[A-Za-z0-9_-]{16,40}$/;
/** Header, claims and signature, base64url without padding (RFC 7515, section 3.1). */
const SHAPE = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/;
const HEADER = base64Url('{"alg":"HS256","typ":"JWT"}');

/** Names that stand for those who have no token, and for the machinery. */
const RESERVED = ["anonymous", "headgate"];

/** A name that a user or a node may have. */
export function isSubject(name: unknown): name is string {
  return typeof name === "string" && SUBJECT.test(name) && !RESERVED.includes(name);
}

export function isTokenId(jti: string): boolean {
  return TOKEN_ID.test(jti);
}

/** `secret` is the cluster's; `issuedAtMs` store time. The request has been checked. */
export function mintToken(
  secret: string,
  { subject, kind, scopes, lifeMs }: TokenRequest,
  { issuedAtMs, random }: { readonly issuedAtMs: number; readonly random: Random },
): MintedToken {
  const jti = Buffer.from(random.bytes(16)).toString("hex");
  const iat = Math.floor(issuedAtMs / 1000);
  const exp = iat + Math.ceil(lifeMs / 1000);
  const token = signToken(secret, { sub: subject, kind, jti, iat, exp, scopes });
  return { token, jti, subject, kind, scopes, expires_at: new Date(exp * 1000).toISOString() };
}

export function signToken(secret: string, claims: Claims): string {
  const signed = `${HEADER}.${base64Url(JSON.stringify(claims))}`;
  const token = `${signed}.${signature(secret, signed)}`;
  assert(token.length <= TOKEN_BYTES_MAX, `a token of ${token.length} bytes`);
  return token;
}

/** What a genuine token says. Throws `denied`. Whether it is still good is not looked at here. */
export function openToken(secret: string, token: string): Claims {
  if (token.length > TOKEN_BYTES_MAX) {
    throw invalid(`it is longer than ${TOKEN_BYTES_MAX} bytes`);
  }
  const [, header = "", claims = "", given = ""] = SHAPE.exec(token) ?? [];
  if (given === "") throw invalid("it is not a signed token");
  const expected = Buffer.from(signature(secret, `${header}.${claims}`));
  if (!timingSafeEqual(expected, Buffer.from(given))) {
    throw invalid("this cluster did not sign it");
  }
  checkHeader(parsed(header));
  return claimsOf(parsed(claims));
}

function checkHeader(header: Readonly<Record<string, unknown>>): void {
  const { alg, typ = "JWT", ...more } = header;
  if (alg !== "HS256" || typ !== "JWT" || Object.keys(more).length > 0) {
    throw invalid("its header is not that of a token with HS256");
  }
}

function claimsOf(claims: Readonly<Record<string, unknown>>): Claims {
  const { sub, kind, jti, iat, exp, scopes } = claims;
  if (Object.keys(claims).some((claim) => !CLAIMS.includes(claim))) {
    throw invalid("it has a claim that this version does not know");
  }
  if (!isSubject(sub)) throw invalid("its sub is not the name of a user or node");
  if (kind !== "user" && kind !== "node") throw invalid("its kind is not user or node");
  if (typeof jti !== "string" || !isTokenId(jti)) throw invalid("its jti is not an id");
  if (!isSeconds(iat) || !isSeconds(exp) || exp <= iat) throw invalid("its times are wrong");
  if ((exp - iat) * 1000 > TOKEN_LIFE_MS_MAX) {
    throw invalid(`it is good for more than ${TOKEN_LIFE_MS_MAX / 86_400_000} days`);
  }
  if (!Array.isArray(scopes) || !scopes.every(isScope)) throw invalid("its scopes are wrong");
  return { sub, kind, jti, iat, exp, scopes };
}

function parsed(part: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
  } catch {
    // What the parser says would repeat a piece of the token.
  }
  throw invalid("it does not hold JSON objects");
}

function isSeconds(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

function invalid(why: string) {
  return unknownCaller("token_invalid", `The token is refused: ${why}`);
}

function signature(secret: string, text: string): string {
  return createHmac("sha256", secret).update(text).digest("base64url");
}

function base64Url(text: string): string {
  return Buffer.from(text).toString("base64url");
}
