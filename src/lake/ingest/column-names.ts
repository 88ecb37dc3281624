/** The names that the columns of a table, or the fields of a struct, may have together. */
import { Failure } from "../../base/failure.ts";
import { COLUMN_NAME_CHARACTERS_MAX, COLUMNS_MAX } from "../../base/lake-limits.ts";
import { shown } from "../../base/shown.ts";
import type { ColumnWish } from "../column.ts";

/** Says what is wrong with names that stand side by side, or null. SQL does not heed their case. */
export function nameProblem(names: readonly string[]): string | null {
  const seen = new Map<string, string>();
  for (const name of names) {
    if (name === "") return "a column's name is empty";
    if (name.length > COLUMN_NAME_CHARACTERS_MAX) {
      const max = COLUMN_NAME_CHARACTERS_MAX;
      return `the column name ${shown(name)} has ${name.length} characters; allowed: ${max}`;
    }
    if (!name.isWellFormed() || name.includes("\0")) {
      return `the column name ${shown(name)} is not Unicode text without NUL`;
    }
    const lower = name.toLowerCase();
    const same = seen.get(lower);
    if (same === name) return `the column name ${shown(name)} is there twice`;
    if (same !== undefined) {
      return `the column names ${shown(same)} and ${shown(name)} differ in nothing but case`;
    }
    seen.set(lower, name);
  }
  return null;
}

/** Throws `invalid` for columns that no table may have. */
export function checkColumns(columns: readonly ColumnWish[]): void {
  if (columns.length === 0) throw refused("there are no columns");
  const count = countOf(columns);
  if (count > COLUMNS_MAX) {
    throw refused(`there are ${count} columns, nested ones too; allowed: ${COLUMNS_MAX}`);
  }
  checkNames(columns);
}

function checkNames(columns: readonly ColumnWish[]): void {
  const problem = nameProblem(columns.map((column) => column.name));
  if (problem !== null) throw refused(problem);
  for (const { children } of columns) checkNames(children);
}

function countOf(columns: readonly ColumnWish[]): number {
  return columns.reduce((count, { children }) => count + 1 + countOf(children), 0);
}

function refused(why: string): Failure {
  return new Failure("invalid", `Cannot make a table for these rows: ${why}`);
}
