/** The chain under a database that is created: it comes first, the row second (PROTOCOL section 7). */
import { Failure } from "../base/failure.ts";
import { isEmptyDatabase } from "../replica/content.ts";
import type { ReplicaHooks } from "../replica/hooks.ts";
import type { Parts } from "../replica/parts.ts";
import { Replica } from "../replica/replica.ts";
import { notLeading } from "./system-database.ts";

/**
 * A claimed chain with empty content: new, or left behind by a create or a drop. Whatever a chain
 * without a row holds goes, so the caller has made sure that there is no row. Throws `conflict` for
 * another page size than the chain's, `elsewhere` when a newer leader has it.
 */
export async function prepareChain(
  parts: Parts,
  name: string,
  pageSize: number,
  hooks: ReplicaHooks,
): Promise<Replica> {
  const replica = await Replica.open(parts, name, hooks) ??
    await Replica.create(parts, name, pageSize, hooks) ??
    await Replica.open(parts, name, hooks);
  if (!replica) throw new Failure("unavailable", `Cannot create ${name}: its chain is gone`);
  try {
    if (replica.pageSize !== pageSize) {
      throw new Failure(
        "conflict",
        `Cannot create ${name} with pages of ${pageSize} bytes: its chain has ` +
          `${replica.pageSize}, and a name keeps its page size for ever`,
        { details: { page_size: replica.pageSize } },
      );
    }
    if (!(await replica.claim(hooks.systemClaim(), { isCreate: true }))) {
      throw notLeading(replica.ownership?.claim);
    }
    if (!(await isEmptyDatabase(replica.image))) {
      await replica.rewrite({ source: "empty", keepRequests: false, kind: "data" });
    }
    return replica;
  } catch (error) {
    await replica.close(droppedMeanwhile(name));
    throw error;
  }
}

export function droppedMeanwhile(name: string): Failure {
  return new Failure("missing", `The database ${name} was dropped`);
}
