/**
 * What makes two requests the same one: SHA-256 over their statements and parameters in one
 * canonical form (PROTOCOL section 9). Equal values have one form whatever their JSON was; the
 * idempotency key and the timeout are no part of it.
 */
import type { JsonValue, Parameters, Statement } from "./statement.ts";

export function fingerprint(statements: readonly Statement[]): Uint8Array {
  const form = statements.map(({ sql, params }) => [sql, parametersForm(params)]);
  return new Uint8Array(new Bun.CryptoHasher("sha256").update(JSON.stringify(form)).digest());
}

/** No parameters, an empty list and an empty map are the same; a map has no order. */
function parametersForm(params: Parameters | undefined): unknown {
  if (params === undefined) return 0;
  if (Array.isArray(params)) {
    return params.length === 0 ? 0 : (params as readonly JsonValue[]).map(valueForm);
  }
  const entries = Object.entries(params);
  if (entries.length === 0) return 0;
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return { map: entries.map(([name, value]) => [name, valueForm(value)]) };
}

/** A letter for the type in SQLite, then the value; null is null. */
function valueForm(value: JsonValue): string | null {
  switch (typeof value) {
    case "string":
      return `t${value}`;
    case "boolean":
      return value ? "i1" : "i0";
    case "number":
      return Number.isInteger(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER
        ? `i${value === 0 ? 0 : value}`
        : `r${value}`;
    default:
      if (value === null) return null;
      if ("integer" in value) return `i${integerForm(value.integer)}`;
      if ("real" in value) return `r${Number(value.real)}`;
      return `b${value.base64}`;
  }
}

/** "007" and "7" are the same integer. What is none fails later, whatever its form. */
function integerForm(text: string): string {
  return /^-?\d{1,19}$/.test(text) ? String(BigInt(text)) : text;
}
