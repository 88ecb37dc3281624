/** What storing rows has in common, whatever is answered: attempts until everybody has an answer. */
import { Failure } from "../base/failure.ts";
import { LAKE_JOB_ATTEMPTS_MAX } from "../base/lake-limits.ts";
import type { TableName } from "./catalog/read-tables.ts";
import type { LakeFiles } from "./lake-files.ts";
import type { BodyPlace } from "./load/message.ts";
import { withBodies } from "./spooled-bodies.ts";
import type { WaitingRows } from "./waiting-rows.ts";

export interface Job {
  readonly files: Pick<LakeFiles, "temporary">;
  readonly table: TableName;
  /** Those that have no answer yet. */
  left(): readonly WaitingRows[];
  /** One attempt; what is still to be done stays in `left`. */
  attempt(bodies: ReadonlyMap<WaitingRows, BodyPlace>): Promise<void>;
}

/** Answers every request. Never rejects. */
export async function runJob({ files, table, left, attempt }: Job): Promise<void> {
  try {
    const path = await files.temporary("bodies");
    await withBodies(path, left(), async (bodies) => {
      // What answers somebody is progress, and none of the attempts.
      for (let attempts = 0; left().length > 0;) {
        if (attempts === LAKE_JOB_ATTEMPTS_MAX) throw keepsChanging(table);
        const before = left().length;
        await attempt(bodies);
        if (left().length === before) attempts++;
      }
    });
  } catch (error) {
    for (const waiting of left()) waiting.failed(error);
  }
}

function keepsChanging({ name }: TableName): Failure {
  return new Failure(
    "unavailable",
    `Cannot store rows: the table ${name} changed ${LAKE_JOB_ATTEMPTS_MAX} times meanwhile`,
    { retryAfterMs: 100 },
  );
}
