/** The process that reads the bodies of requests and writes Parquet, one order after the other. */
import { describe, isFailure } from "../../base/failure.ts";
import type { ParentPort } from "../../database/child.ts";
import { isSystemError } from "../../database/sql-error.ts";
import { inferColumns } from "../ingest/infer.ts";
import { BodyBytes } from "./body-bytes.ts";
import { loadBodies } from "./load-bodies.ts";
import { mergeRows } from "./merge-rows.ts";
import { type ChildFailure, childFailure, type FromLoader, type ToLoader } from "./message.ts";
import { packRows } from "./pack-rows.ts";

export function main(port: ParentPort): void {
  port.onMessage((message) => {
    const order = message as ToLoader;
    carryOut(order).then(
      (answer) => port.send(answer),
      (error) => port.send(["failure", order[1], failureOf(error)] satisfies FromLoader),
    );
  });
}

async function carryOut(order: ToLoader): Promise<FromLoader> {
  switch (order[0]) {
    case "load":
      return ["loaded", order[1], await loadBodies(order[2])];
    case "infer": {
      const { format } = order[2];
      const { columns, body } = await inferColumns(new BodyBytes().content(order[2]), format);
      await body[Symbol.asyncIterator]().return?.();
      return ["inferred", order[1], columns];
    }
    case "pack":
      return ["packed", order[1], packRows(order[2])];
    case "merge":
      return ["merged", order[1], mergeRows(order[2])];
  }
}

function failureOf(error: unknown): ChildFailure {
  if (isFailure(error)) return childFailure(error);
  // The system had no room, no file or no memory for it; all else is a bug, which the node tells.
  const kind = isSystemError(error) ? "unavailable" : "corrupt";
  return { kind, message: `Cannot load rows: ${describe(error)}` };
}
