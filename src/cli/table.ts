/** Rows → a table that fits the terminal: the widest columns are cut, with "…" where they are. */
import { cellText, csvText, isNumber, type ResultSet } from "./value.ts";

export const TABLE_MODES = ["table", "line", "csv", "json"] as const;
export type TableMode = typeof TABLE_MODES[number];

export function isTableMode(text: string): text is TableMode {
  return (TABLE_MODES as readonly string[]).includes(text);
}

const GAP = " │ ";
/** Below this width a column says nothing, and rows are written as records instead. */
const COLUMN_WIDTH_MIN = 6;

/** `width` in columns of the terminal; null for no limit. Ends with a newline unless empty. */
export function formatRows(result: ResultSet, mode: TableMode, width: number | null): string {
  switch (mode) {
    case "table":
      return formatTable(result, width);
    case "line":
      return formatRecords(result, width);
    case "csv":
      return [result.columns, ...result.rows]
        .map((row) => `${row.map(csvText).join(",")}\r\n`).join("");
    case "json":
      return result.rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  }
}

/** As `formatRecords` when there are more columns than fit. */
export function formatTable(result: ResultSet, width: number | null): string {
  const { columns, rows } = result;
  if (columns.length === 0) return "";
  const texts = rows.map((row) => row.map(cellText));
  const heads = columns.map((name) => cellText(name));
  const widths = heads.map((head, index) =>
    texts.reduce((most, row) => Math.max(most, textWidth(row[index] ?? "")), textWidth(head))
  );
  const fitted = width === null
    ? widths
    : fit(widths, width - 2 - GAP.length * (widths.length - 1));
  if (fitted === null) return formatRecords(result, width);
  const right = columns.map((_, index) =>
    rows.length > 0 && rows.every((row) => row[index] === null || isNumber(row[index] ?? null))
  );
  const line = (cells: readonly string[], align: readonly boolean[]): string =>
    ` ${fitted.map((size, i) => pad(cells[i] ?? "", size, align[i] === true)).join(GAP)}`
      .trimEnd() + "\n";
  const rule = `─${fitted.map((size) => "─".repeat(size)).join("─┼─")}─\n`;
  return line(heads, []) + rule + texts.map((row) => line(row, right)).join("");
}

/** A line a value, a block a row. */
export function formatRecords(result: ResultSet, width: number | null): string {
  const heads = result.columns.map((name) => cellText(name));
  const widest = Math.max(0, ...heads.map(textWidth));
  const size = width === null ? widest : Math.min(widest, Math.max(8, Math.floor(width / 3)));
  return result.rows.map((row) =>
    heads.map((head, index) => {
      const value = cellText(row[index] ?? null);
      const shown = width === null ? value : cut(value, Math.max(1, width - size - 3));
      return `${pad(head, size, true)} = ${shown}\n`;
    }).join("")
  ).join("\n");
}

/** Columns of a terminal that a text takes: two for East Asian wide characters and emoji. */
export function textWidth(text: string): number {
  return Bun.stringWidth(text, { countAnsiEscapeCodes: true });
}

/** The text, or its beginning and "…", in at most `size` columns. */
export function cut(text: string, size: number): string {
  if (textWidth(text) <= size) return text;
  let out = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const width = textWidth(segment);
    if (used + width > size - 1) break;
    out += segment;
    used += width;
  }
  return `${out}…`;
}

function pad(text: string, size: number, right: boolean): string {
  const shown = cut(text, size);
  const space = " ".repeat(Math.max(0, size - textWidth(shown)));
  return right ? space + shown : shown + space;
}

/** Widths that add up to at most `total`, taken from the widest; null when they cannot. */
function fit(widths: readonly number[], total: number): number[] | null {
  const least = widths.map((width) => Math.min(width, COLUMN_WIDTH_MIN));
  if (sum(least) > total) return null;
  // The largest cap under which all columns fit together.
  let cap = Math.max(...widths);
  while (cap > COLUMN_WIDTH_MIN && sum(widths.map((width) => Math.min(width, cap))) > total) {
    cap -= 1;
  }
  return widths.map((width) => Math.min(width, cap));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
