/**
 * Which of two statistics is smaller, as SQL: a catalog keeps them as text, and text alone has
 * another order than numbers and dates. Every comparison is exact.
 */
import type { ColumnType } from "../column.ts";

/** The order of a type's text. */
export type TextOrder = "boolean" | "number" | "real" | "text" | "time" | "zoned";

const NUMBERS = /^(?:u?int(?:8|16|32|64)|int128|decimal)$/;

export function orderOf({ name }: ColumnType): TextOrder {
  if (NUMBERS.test(name)) return "number";
  if (name === "boolean") return "boolean";
  if (name === "float32" || name === "float64") return "real";
  if (name === "timestamptz") return "zoned";
  // Times of day, UUIDs in lower case and bytes in hexadecimal have the order of their text.
  return name === "date" || name.startsWith("timestamp") ? "time" : "text";
}

/** SQL that is true where the text `a` stands for less than `b`, both of the order `order`. */
export function isLess(order: string, a: string, b: string): string {
  return `CASE ${order} WHEN 'boolean' THEN ${truth(a)} < ${truth(b)} ` +
    `WHEN 'number' THEN ${numberIsLess(a, b)} ` +
    `WHEN 'real' THEN ${real(a)} < ${real(b)} ` +
    `WHEN 'text' THEN ${a} < ${b} ` +
    `ELSE (${year(a)}, ${behindYear(a)}) < (${year(b)}, ${behindYear(b)}) END`;
}

/**
 * SQL that is true where a kept text cannot be compared: the real DuckLake writes instants with its
 * session's offset, and only those in UTC compare as text.
 */
export function isForeign(order: string, text: string): string {
  return `(${order} = 'zoned' AND ${text} NOT LIKE '%+00' AND ${text} NOT LIKE '%infinity')`;
}

function truth(text: string): string {
  return `(${text} IN ('1', 'true'))`;
}

/** With as many digits behind the point, the longer number is the larger one. */
function numberIsLess(a: string, b: string): string {
  const isNegative = (text: string) => `(substr(${text}, 1, 1) = '-')`;
  const longer = (x: string, y: string) => `(length(${x}), ${x}) < (length(${y}), ${y})`;
  return `CASE WHEN ${isNegative(a)} <> ${isNegative(b)} THEN ${isNegative(a)} ` +
    `WHEN ${isNegative(a)} THEN ${longer(b, a)} ELSE ${longer(a, b)} END`;
}

/** DuckDB counts NaN as the largest real. */
function real(text: string): string {
  return `CASE ${text} WHEN 'inf' THEN 9e999 WHEN 'nan' THEN 9e999 WHEN '-inf' THEN -9e999 ` +
    `ELSE CAST(${text} AS REAL) END`;
}

function year(text: string): string {
  return `CASE ${text} WHEN 'infinity' THEN 9e18 WHEN '-infinity' THEN -9e18 ELSE ` +
    `CAST(substr(${text}, 1, instr(${text}, '-') - 1) AS INTEGER) * ` +
    `CASE WHEN instr(${text}, '(BC)') > 0 THEN -1 ELSE 1 END END`;
}

function behindYear(text: string): string {
  return `replace(substr(${text}, instr(${text}, '-')), ' (BC)', '')`;
}
