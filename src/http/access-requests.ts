/**
 * Bodies of requests about users and tokens. Messages name what is wrong and never show it: a
 * password may stand anywhere in them.
 */
import { Failure } from "../base/failure.ts";
import {
  LOGIN_LIFE_MS,
  LOGIN_LIFE_MS_MAX,
  PASSWORD_BYTES_MAX,
  PASSWORD_CHARACTERS_MIN,
  TOKEN_LIFE_MS,
  TOKEN_LIFE_MS_MAX,
} from "../base/limits.ts";
import type { UserChange } from "./access.ts";
import { parseScopes } from "./scope.ts";
import { isSubject, isTokenId, type TokenRequest } from "./token.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface LoginRequest {
  readonly name: string;
  readonly password: string;
  readonly lifeMs: number;
}

/**
 * `{"name", "password", "expires_in_s"?}` of somebody who logs in, or `{"subject", "kind"?,
 * "scopes", "expires_in_s"?}` of an admin.
 */
export function parseTokenRequest(body: unknown): LoginRequest | TokenRequest {
  if (Object.hasOwn(Object(body), "password")) {
    const fields = fieldsOf(body, ["name", "password", "expires_in_s"]);
    return {
      name: parseSubject(fields["name"], "name"),
      password: parsePassword(fields["password"]),
      lifeMs: parseLife(fields["expires_in_s"], LOGIN_LIFE_MS, LOGIN_LIFE_MS_MAX),
    };
  }
  const fields = fieldsOf(body, ["subject", "kind", "scopes", "expires_in_s"]);
  const kind = fields["kind"] ?? "user";
  if (kind !== "user" && kind !== "node") throw wrong("kind", '"user" or "node"');
  return {
    subject: parseSubject(fields["subject"], "subject"),
    kind,
    scopes: parseScopes(fields["scopes"], "scopes"),
    lifeMs: parseLife(fields["expires_in_s"], TOKEN_LIFE_MS, TOKEN_LIFE_MS_MAX),
  };
}

/** `{"name", "password", "scopes"}`. */
export function parseUser(
  body: unknown,
): { readonly name: string; readonly password: string; readonly scopes: readonly string[] } {
  const { name, password, scopes } = fieldsOf(body, ["name", "password", "scopes"]);
  return {
    name: parseSubject(name, "name"),
    password: newPassword(password),
    scopes: parseScopes(scopes, "scopes"),
  };
}

/** `{"password"?, "scopes"?}`, one of them at least. */
export function parseUserChange(body: unknown): UserChange {
  const { password, scopes } = fieldsOf(body, ["password", "scopes"]);
  if (password === undefined && scopes === undefined) {
    throw new Failure("invalid", "There is nothing to change: give password, scopes or both");
  }
  return {
    ...(password === undefined ? {} : { password: newPassword(password) }),
    ...(scopes === undefined ? {} : { scopes: parseScopes(scopes, "scopes") }),
  };
}

/** Throws `invalid`. */
export function parseSubject(value: unknown, path: string): string {
  if (isSubject(value)) return value;
  const allowed = 'a name of a-z, 0-9, ".", "_", "@" and "-", at most 63 characters, that begins ' +
    'with a letter or digit; "anonymous" and "headgate" are reserved';
  throw wrong(path, allowed);
}

/** Throws `invalid`. */
export function parseTokenId(jti: string): string {
  if (isTokenId(jti)) return jti;
  throw wrong("The id in the path", "the jti of a token, 16 to 40 letters, digits, _ and -");
}

function newPassword(value: unknown): string {
  const password = parsePassword(value);
  if ([...password].length >= PASSWORD_CHARACTERS_MIN) return password;
  throw new Failure(
    "invalid",
    `password is too short: at least ${PASSWORD_CHARACTERS_MIN} characters`,
  );
}

function parsePassword(value: unknown): string {
  const isText = typeof value === "string" && value !== "" && value.isWellFormed();
  if (isText && Buffer.byteLength(value) <= PASSWORD_BYTES_MAX) return value;
  throw wrong("password", `a text of 1 to ${PASSWORD_BYTES_MAX} bytes`);
}

function parseLife(value: unknown, usualMs: number, mostMs: number): number {
  if (value === undefined) return usualMs;
  const most = mostMs / 1000;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1 && value <= most) {
    return value * 1000;
  }
  throw wrong("expires_in_s", `a whole number from 1 to ${most}`);
}

function fieldsOf(body: unknown, allowed: readonly string[]): Fields {
  const names = allowed.join(", ");
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw wrong("The body", `an object with ${names}`);
  }
  if (Object.keys(body).some((key) => !allowed.includes(key))) {
    throw new Failure("invalid", `The body has a key that is unknown; allowed: ${names}`);
  }
  return body as Fields;
}

function wrong(path: string, allowed: string): Failure {
  return new Failure("invalid", `${path} is missing or wrong; allowed: ${allowed}`);
}
