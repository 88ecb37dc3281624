/** Why a query over a lake has no result, in the words of any read (`database/read-failures.ts`). */
import { Failure } from "../../base/failure.ts";

const ACTION = "Cannot run this query";

export function pastDeadline(deadlineMs: number, sinceMs: number): Failure {
  const ms = Math.max(0, Math.ceil(deadlineMs - sinceMs));
  return new Failure("unavailable", `${ACTION}: ended at its deadline of ${ms} ms`, {
    details: { reason: "deadline" },
  });
}

export function clientGone(): Failure {
  return new Failure("unavailable", `${ACTION}: its client went away`, {
    details: { reason: "client" },
  });
}

export function notInThisProgram(): Failure {
  return new Failure(
    "unavailable",
    `${ACTION}: this build of Headgate has no DuckDB; take one for a platform that has it`,
    { details: { reason: "build" } },
  );
}

export function cannotUnpack(cause: unknown): Failure {
  return new Failure("unavailable", `${ACTION}: there is no room to unpack DuckDB on this node`, {
    cause,
    details: { reason: "room" },
    retryAfterMs: 1_000,
  });
}

/** The last line of an NDJSON result that did not come to its end, as every error is shaped. */
export function failureLine({ kind, message, details, retryAfterMs }: Failure): string {
  const error = {
    kind,
    message,
    ...(details === undefined ? {} : { details }),
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
  };
  return `${JSON.stringify({ error })}\n`;
}
