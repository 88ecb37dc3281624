/** What an error of the file system means for a request to the store. */
import { Failure, type FailureKind } from "../base/failure.ts";

const KINDS: Readonly<Record<string, FailureKind>> = {
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  ENAMETOOLONG: "invalid",
  ENOTDIR: "invalid",
  EXDEV: "invalid",
  EMLINK: "invalid",
};

const HINTS: Readonly<Record<string, string>> = {
  EPERM: " (the file system must have hard links)",
  EXDEV: " (the whole store must be on one file system)",
  ENOTDIR: " (an object is in the way of a folder)",
};

/** The code of a system error, such as "EEXIST". */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** True when a path names nothing, or goes through something that is not a folder. */
export function isAbsent(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/**
 * The failure of a step that did nothing, or nothing that anybody sees. `action` names the step and
 * its values, as in "create a/b in file:///data".
 */
export function fileFailure(action: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const code = errorCode(error) ?? "";
  const kind = KINDS[code] ?? "unavailable";
  return new Failure(kind, `Cannot ${action}${HINTS[code] ?? reason(error)}`, { cause: error });
}

/** "EROFS: read-only file system, mkdir '/data'" without the call, which the action says. */
function reason(error: unknown): string {
  return error instanceof Error ? ` (${error.message.split(", ", 1)[0]})` : "";
}
