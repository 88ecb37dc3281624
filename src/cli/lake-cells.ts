/** Values of a lake → values that tables are made of: what is nested becomes text. */
import type { JsonValue } from "../database/statement.ts";

/** `type` is the column's, as the answer has it. */
export function lakeCell(value: unknown, type: string): JsonValue {
  if (typeof value !== "object" || value === null) return value as JsonValue;
  if (isNested(type)) return nestedText(value);
  const digits = digitsIn(value);
  return digits === null ? value as JsonValue : { real: digits };
}

function isNested(type: string): boolean {
  return /^(STRUCT|MAP|UNION|VARIANT)\b|\]$/.test(type);
}

/** As JSON, with numbers as they are. */
function nestedText(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(nestedText).join(",")}]`;
  const fields = Object.entries(value).map(([name, part]) =>
    `${JSON.stringify(name)}:${nestedText(part)}`
  );
  return digitsIn(value) ?? `{${fields.join(",")}}`;
}

/** Of a number that is no JSON number: `{"integer":"9007199254740993"}`. */
function digitsIn(value: object): string | null {
  const [[name, digits] = [], ...more] = Object.entries(value);
  const isNumber = name === "integer" || name === "decimal" || name === "real";
  return isNumber && more.length === 0 && typeof digits === "string" ? digits : null;
}
