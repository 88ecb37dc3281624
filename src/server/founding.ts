/** The first start on an empty store: the chain of `system` is the cluster. */
import { Failure } from "../base/failure.ts";
import { databasePrefix, DATABASES_PREFIX } from "../epoch/key.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { ReplicaHooks } from "../replica/hooks.ts";
import type { Parts } from "../replica/parts.ts";
import { Replica } from "../replica/replica.ts";
import { DEFAULT_PAGE_SIZE } from "./catalog.ts";

/** Creates the chain of `system`, or opens it when another node was faster. */
export async function foundCluster(
  parts: Parts,
  hooks: ReplicaHooks,
  eligible: boolean,
): Promise<Replica> {
  if (!eligible) {
    throw new Failure("unavailable", "There is no cluster yet, and this node may not make one");
  }
  const other = await otherDatabase(parts);
  if (other !== undefined) return await openMadeMeanwhile(parts, hooks, other);
  const made = await Replica.create(parts, SYSTEM_DATABASE, DEFAULT_PAGE_SIZE, hooks) ??
    await Replica.open(parts, SYSTEM_DATABASE, hooks);
  if (made) return made;
  throw new Failure("unavailable", "The chain of system vanished while it was read");
}

async function otherDatabase({ store }: Parts): Promise<string | undefined> {
  const { objects } = await store.list(DATABASES_PREFIX, { limit: 1 });
  return objects.find(({ key }) => !key.startsWith(databasePrefix(SYSTEM_DATABASE)))?.key;
}

/**
 * `system` comes before all others: where one is there, another node has made the cluster since this
 * one looked. A store with databases but without `system` is not empty: it lost something.
 */
async function openMadeMeanwhile(
  parts: Parts,
  hooks: ReplicaHooks,
  other: string,
): Promise<Replica> {
  const made = await Replica.open(parts, SYSTEM_DATABASE, hooks);
  if (made) return made;
  throw new Failure(
    "corrupt",
    `Cannot start on ${parts.store.name}: it holds ${other} but no chain of the database system`,
  );
}
