/**
 * What an error of an S3 request means (I7): did it certainly do nothing, or may it have been
 * applied? Only an answer that says no, or a connection that was never made, is certain.
 */
import { describe, Failure, type FailureKind } from "../base/failure.ts";

export interface S3Attempt {
  /** Completes "Cannot …": "create a/b in s3://bucket". */
  readonly action: string;
  /** True if the request changes anything. */
  readonly writes: boolean;
  /** Why we ended it ourselves, or null. */
  readonly ended: "deadline" | "cancelled" | null;
  readonly deadlineMs: number;
}

/** The failure of one attempt. `details` hold the HTTP `status` and the store's `code`, if any. */
export function s3Failure(error: unknown, attempt: S3Attempt): Failure {
  if (error instanceof Failure) return error;
  const { status, code } = s3Answer(error);
  const kind = neverSent(error) ? neverSentKind(error) : kindOf(status, code, attempt.writes);
  const retryAfterMs = retryAfter(error);
  return new Failure(kind, `Cannot ${attempt.action}: ${reason(error, attempt)}`, {
    cause: error,
    details: { ...(status !== undefined && { status }), ...(code !== undefined && { code }) },
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/** HTTP status and error code ("PreconditionFailed") of a refusal; nothing for a lost connection. */
export function s3Answer(
  error: unknown,
): { readonly status: number | undefined; readonly code: string | undefined } {
  const status = at(error, "$metadata", "httpStatusCode") ?? at(error, "$response", "statusCode");
  if (typeof status !== "number") return { status: undefined, code: undefined };
  const name = at(error, "name");
  // An answer without an error document has no code, and the SDK then makes up a name.
  const code = typeof name === "string" && name !== "Error" && name !== "Unknown"
    ? name
    : undefined;
  return { status, code };
}

/** Refusals with a status that says too little. */
const CODES: Readonly<Record<string, FailureKind>> = {
  RequestTimeTooSkewed: "unavailable", // the SDK has learned the offset; the next attempt has it
  ExpiredToken: "denied",
  InvalidToken: "denied",
  TokenRefreshRequired: "denied",
  BadDigest: "unavailable", // damaged on its way, and refused
  XAmzContentSHA256Mismatch: "unavailable",
  XAmzContentChecksumMismatch: "unavailable",
  IncompleteBody: "unavailable",
  NotImplemented: "invalid",
};

function kindOf(
  status: number | undefined,
  code: string | undefined,
  writes: boolean,
): FailureKind {
  const unknown = writes ? "uncertain" : "unavailable";
  if (status === undefined || status < 300) return unknown;
  const known = code === undefined ? undefined : CODES[code];
  if (known !== undefined) return known;
  if (status === 401 || status === 403) return "denied";
  if (status === 429) return "unavailable";
  // "RequestTimeout" comes as 400 when the body was slow.
  if (status >= 500 || status === 408 || status === 409 || code === "RequestTimeout") {
    return unknown;
  }
  return status === 307 ? "unavailable" : "invalid";
}

function reason(error: unknown, attempt: S3Attempt): string {
  if (attempt.ended === "deadline") return `no answer within ${attempt.deadlineMs} ms`;
  if (attempt.ended === "cancelled") return "it was cancelled";
  const { status, code } = s3Answer(error);
  if (status === undefined) return describe(error);
  const hint = HINTS[code ?? String(status)] ?? "";
  return `the store answered ${status}${code ? ` ${code}` : ""}${hint}`;
}

const HINTS: Readonly<Record<string, string>> = {
  NoSuchBucket: " (the bucket does not exist)",
  PermanentRedirect: " (the bucket is in another region or at another endpoint)",
  AuthorizationHeaderMalformed: " (the bucket is in another region)",
  "301": " (the bucket is in another region or at another endpoint)",
};

/** True if the request certainly never left: there was no connection, or nothing to sign with. */
function neverSent(error: unknown): boolean {
  const name = at(error, "name");
  if (name === "CredentialsProviderError") return true;
  // Both name the step that failed; the same codes can come from an established connection.
  const syscall = at(error, "syscall");
  if (syscall === "connect" || syscall === "getaddrinfo") return true;
  return name === "TimeoutError" && describe(error).includes("establish a connection");
}

function neverSentKind(error: unknown): FailureKind {
  return at(error, "name") === "CredentialsProviderError" ? "denied" : "unavailable";
}

function retryAfter(error: unknown): number | undefined {
  const seconds = Number(at(error, "$response", "headers", "retry-after") ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

/** A property of a property of a thrown value of unknown shape. */
function at(value: unknown, ...path: string[]): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = Reflect.get(found, name);
  }
  return found;
}
