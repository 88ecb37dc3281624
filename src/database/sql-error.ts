/** What SQLite says went wrong, as a failure that tells the client what to do next. */
import { describe, Failure, type FailureKind, isFailure } from "../base/failure.ts";
import type { AnswerFailure } from "./workspace.ts";

/** A constraint that another row or a trigger of the database decides; others lie in the request. */
const CONFLICTS = new Set([
  "SQLITE_CONSTRAINT_UNIQUE",
  "SQLITE_CONSTRAINT_PRIMARYKEY",
  "SQLITE_CONSTRAINT_ROWID",
  "SQLITE_CONSTRAINT_FOREIGNKEY",
  "SQLITE_CONSTRAINT_TRIGGER",
]);

/** SQLite's result codes (sqlite.org/rescode.html) that are not the request's own fault. */
const KINDS: Readonly<Record<string, FailureKind>> = {
  SQLITE_NOMEM: "too_large",
  SQLITE_TOOBIG: "too_large",
  SQLITE_FULL: "too_large",
  SQLITE_CORRUPT: "corrupt",
  SQLITE_NOTADB: "corrupt",
  SQLITE_IOERR: "unavailable",
  SQLITE_CANTOPEN: "unavailable",
  SQLITE_BUSY: "unavailable",
  SQLITE_LOCKED: "unavailable",
};

/** SQLite's name for an error ("SQLITE_CONSTRAINT_UNIQUE"), or undefined. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" && error.code.startsWith("SQLITE_")
    ? error.code
    : undefined;
}

/** `action` begins the message ("Statement 2 failed"); `details` go along with SQLite's code. */
export function sqlFailure(
  error: unknown,
  action: string,
  details: Readonly<Record<string, unknown>> = {},
): AnswerFailure {
  if (isFailure(error)) {
    return {
      kind: error.kind,
      message: `${action}: ${error.message}`,
      details: { ...details, ...error.details },
    };
  }
  const code = sqliteCode(error);
  if (code === undefined) {
    // The system had no room, no file or no memory for it: nothing is wrong with the request.
    const kind = isSystemError(error) ? "unavailable" : "invalid";
    return { kind, message: `${action}: ${describe(error)}`, details };
  }
  const family = code.split("_", 2).join("_");
  const kind = CONFLICTS.has(code) ? "conflict" : KINDS[family] ?? "invalid";
  return { kind, message: `${action}: ${describe(error)}`, details: { ...details, code } };
}

/** An error of the operating system (errno(3)), such as ENOSPC; Node.js's own begin with ERR_. */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^E[A-Z0-9]+$/.test(String(error.code));
}

/** The same as a thrown value. */
export function toFailure(failure: AnswerFailure): Failure {
  return new Failure(
    failure.kind,
    failure.message,
    failure.details === undefined ? {} : { details: failure.details },
  );
}
