/** A failure as one node tells another of it. Its cause stays where it happened. */
import { describe, Failure, type FailureKind, isFailure } from "../base/failure.ts";

export interface FailureHead {
  readonly kind: FailureKind;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly leader?: string;
  readonly retry_after_ms?: number;
}

const KINDS: Readonly<Record<FailureKind, true>> = {
  invalid: true,
  denied: true,
  missing: true,
  conflict: true,
  too_large: true,
  busy: true,
  elsewhere: true,
  unavailable: true,
  uncertain: true,
  corrupt: true,
};

export function failureHead(failure: Failure): FailureHead {
  const { kind, message, details, leader, retryAfterMs } = failure;
  return {
    kind,
    message,
    ...(details === undefined ? {} : { details }),
    ...(leader === undefined ? {} : { leader }),
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
  };
}

/** Throws `invalid` for what is no failure. */
export function readFailure(head: unknown): Failure {
  const { kind, message, details, leader, retry_after_ms: retryAfterMs }: Record<string, unknown> =
    Object(head);
  if (typeof kind !== "string" || !Object.hasOwn(KINDS, kind) || typeof message !== "string") {
    throw new Failure("invalid", "Cannot read the failure that a peer sent");
  }
  return new Failure(kind as FailureKind, message, {
    ...(isRecord(details) ? { details } : {}),
    ...(typeof leader === "string" ? { leader } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
  });
}

/** For what a peer is told when something broke here, which is `uncertain` unless it is known. */
export function asFailure(action: string, error: unknown): Failure {
  if (isFailure(error)) return error;
  return new Failure("uncertain", `Cannot ${action}: ${describe(error)}`, { cause: error });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
