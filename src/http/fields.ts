/** Fields of requests: unknown keys and wrong types are `invalid`, and named. */
import { Failure } from "../base/failure.ts";
import { TIMEOUT_MS_MAX } from "../base/limits.ts";
import { shown } from "../base/shown.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** `path`: where it stands, as the failure names it. */
export function fieldsOf(
  body: unknown,
  allowed: readonly string[],
  path = "The body",
): Fields {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw wrong(path, body, `an object with ${allowed.join(", ")}`);
  }
  for (const key in body) {
    if (!allowed.includes(key)) {
      const shown = JSON.stringify(key.slice(0, 80));
      throw new Failure(
        "invalid",
        `${path}'s key ${shown} is unknown; allowed: ${allowed.join(", ")}`,
      );
    }
  }
  return body as Fields;
}

export function timeout(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number" && value >= 1 && value <= TIMEOUT_MS_MAX) return value;
  throw wrong("timeout_ms", value, `1 to ${TIMEOUT_MS_MAX}`);
}

/** RFC 3339, or ms since 1970. */
export function parseTime(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  if (typeof value === "string" && RFC3339.test(value)) {
    const ms = Date.parse(value);
    if (!Number.isNaN(ms)) return ms;
  }
  throw wrong("time", value, 'a time, as in "2026-07-24T18:00:00Z", or ms since 1970');
}

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

export function wholeFrom(value: unknown, least: number, path: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
  throw wrong(path, value, `a whole number from ${least}`);
}

export function wrong(path: string, value: unknown, allowed: string): Failure {
  return new Failure("invalid", `${path} is ${shown(value)}; allowed: ${allowed}`);
}
