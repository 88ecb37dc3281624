/**
 * The two ways to be refused: 401, we do not know who asks, and 403, we know and may not. The reason
 * is in the failure's details, for programs; no message repeats a token or a password.
 */
import { Failure, isFailure } from "../base/failure.ts";

const UNKNOWN_CALLER = [
  "token_missing",
  "token_invalid",
  "token_expired",
  "token_revoked",
  "password_wrong",
] as const;

type UnknownCallerReason = typeof UNKNOWN_CALLER[number];

/** We do not know who asks. */
export function unknownCaller(reason: UnknownCallerReason, message: string): Failure {
  return new Failure("denied", message, { details: { reason } });
}

/** `what` is what was asked for: "query orders". */
export function scopeMissing(what: string, subject: string, scope: string): Failure {
  return new Failure("denied", `Cannot ${what}: the token of ${subject} lacks the scope ${scope}`, {
    details: { reason: "scope_missing", scope },
  });
}

/** The WWW-Authenticate of the answer (RFC 6750, section 3); null for a 403. */
export function challengeOf(failure: Failure): string | null {
  if (!isFailure(failure, "denied")) return null;
  const reason: unknown = failure.details?.["reason"];
  if (!UNKNOWN_CALLER.some((one) => one === reason)) return null;
  const error = reason === "token_missing" || reason === "password_wrong"
    ? ""
    : ', error="invalid_token"';
  return `Bearer realm="headgate"${error}`;
}
