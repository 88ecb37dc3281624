/** A change of a table's columns → what a node is asked. */
import { Failure } from "../base/failure.ts";
import type { ColumnChange } from "../lake/change-columns.ts";
import { fieldsOf, wrong } from "./fields.ts";
import { parseColumn } from "./lake-requests.ts";

const CHANGES = ["add", "rename", "drop"];

/** One of `{"add": column}`, `{"rename": {"column", "to"}}` and `{"drop": {"column"}}`. */
export function parseColumnChange(body: unknown): ColumnChange {
  const fields = fieldsOf(body, CHANGES);
  const found = Object.keys(fields);
  if (found.length !== 1) {
    throw new Failure(
      "invalid",
      `The body has ${found.length === 0 ? "no change" : found.join(" and ")}; ` +
        `allowed: exactly one of ${CHANGES.join(", ")}`,
    );
  }
  if ("add" in fields) return { kind: "add", column: parseColumn(fields["add"], "add") };
  if ("drop" in fields) {
    const { column } = fieldsOf(fields["drop"], ["column"], "drop");
    return { kind: "drop", column: nameIn(column, "drop.column") };
  }
  const { column, to } = fieldsOf(fields["rename"], ["column", "to"], "rename");
  return {
    kind: "rename",
    column: nameIn(column, "rename.column"),
    to: nameIn(to, "rename.to"),
  };
}

function nameIn(value: unknown, path: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw wrong(path, value, "a column's name");
}
