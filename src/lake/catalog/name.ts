/** Names of schemas, tables and columns, and how SQL and the list of changes quote them. */
import { Failure } from "../../base/failure.ts";
import { LAKE_NAME_CHARACTERS_MAX } from "../../base/lake-limits.ts";

/** Throws `invalid`, naming what kind of name it is. */
export function checkLakeName(name: string, what: string): void {
  const reason = name === ""
    ? "it is empty"
    : name.length > LAKE_NAME_CHARACTERS_MAX
    ? `it is longer than ${LAKE_NAME_CHARACTERS_MAX} characters`
    : name.includes("\0")
    ? "it contains a NUL character"
    : name.isWellFormed()
    ? null
    : "it is not well-formed Unicode";
  if (reason === null) return;
  throw new Failure(
    "invalid",
    `Cannot name a ${what} ${JSON.stringify(name.slice(0, 80))}: ${reason}`,
  );
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
