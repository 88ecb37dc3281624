/** Which of some requests have rows that a loader could read as rows of their table. */
import { assert } from "../base/assert.ts";
import { Failure } from "../base/failure.ts";
import { toFailure } from "../database/sql-error.ts";
import type { Loaded } from "./load/message.ts";
import type { WaitingRows } from "./waiting-rows.ts";

/** How many rows each has. Answers those that have none; those whose rows do not fit, by `onMisfit`. */
export function fittingRows(
  requests: readonly WaitingRows[],
  { bodies }: Pick<Loaded, "bodies">,
  onMisfit = (waiting: WaitingRows, failure: Failure): void => waiting.failed(failure),
): ReadonlyMap<WaitingRows, number> {
  const fitting = new Map<WaitingRows, number>();
  for (const [index, waiting] of requests.entries()) {
    const outcome = bodies[index];
    assert(outcome !== undefined, "a loader has an outcome for every body");
    if ("failure" in outcome) onMisfit(waiting, toFailure(outcome.failure));
    else if (outcome.rows === 0) waiting.failed(noRows());
    else fitting.set(waiting, outcome.rows);
  }
  return fitting;
}

function noRows(): Failure {
  return new Failure("invalid", "Cannot store rows: there are none in the body");
}
