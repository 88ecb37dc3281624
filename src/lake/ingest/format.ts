/** How the rows of a request's body are written, by its content type. */
import { Failure } from "../../base/failure.ts";
import { shown } from "../../base/shown.ts";

export type IngestFormat = "ndjson" | "json" | "csv" | "arrow";

const FORMATS: Readonly<Record<string, IngestFormat>> = {
  "application/x-ndjson": "ndjson",
  "application/json": "json",
  "text/csv": "csv",
  "application/vnd.apache.arrow.stream": "arrow",
};

/** All text is UTF-8, and CSV always has a header line: no other value of these is true. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  charset: ["utf-8", "utf8", "us-ascii"],
  header: ["present"],
};

/**
 * The format that a `Content-Type` names. Parameters that nobody here knows are passed over.
 * Throws `invalid` with what is allowed.
 */
export function formatOf(contentType: string | null): IngestFormat {
  const [name = "", ...parameters] = (contentType ?? "").split(";").map((part) => part.trim());
  const format = Object.hasOwn(FORMATS, name.toLowerCase())
    ? FORMATS[name.toLowerCase()]
    : undefined;
  if (format === undefined) {
    const found = contentType === null ? "missing" : shown(contentType);
    const allowed = Object.keys(FORMATS).join(", ");
    throw new Failure("invalid", `The content type is ${found}; allowed: ${allowed}`);
  }
  for (const parameter of parameters) checkParameter(parameter);
  return format;
}

function checkParameter(parameter: string): void {
  const equals = parameter.indexOf("=");
  const name = parameter.slice(0, Math.max(equals, 0)).trim().toLowerCase();
  if (!Object.hasOwn(PARAMETERS, name)) return;
  const allowed = PARAMETERS[name] ?? [];
  const value = parameter.slice(equals + 1).trim().replace(/^"(.*)"$/, "$1").toLowerCase();
  if (allowed.includes(value)) return;
  const message = `The content type's ${name} is ${shown(value)}; allowed: ${allowed.join(", ")}`;
  throw new Failure("invalid", message);
}
