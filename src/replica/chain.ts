/** One database's chain of objects in the store: where its keys are and what lies under them. */
import { levelPrefix, objectKey, type ObjectName, parseObjectKey } from "../epoch/key.ts";
import type { Layout } from "../epoch/key.ts";
import type { ListedObject, Store } from "../store/store.ts";

export const SNAPSHOT_LEVEL = 9;
export const COMPACTED_LEVELS = [3, 2, 1] as const;

export interface Chain {
  readonly store: Store;
  readonly layout: Layout;
  readonly name: string;
}

export interface ChainObject {
  readonly key: string;
  readonly size: number;
  readonly modifiedAtMs: number;
  readonly level: number;
  readonly min: number;
  readonly max: number;
}

/** What the owner and the followers know of the newest durable epoch. */
export interface Tip {
  readonly epoch: number;
  /** Its file checksum: the link of the next one. */
  readonly fileChecksum: bigint;
  readonly databaseChecksum: bigint;
  readonly timestampMs: number;
}

export function epochKey(chain: Chain, epoch: number): string {
  return objectKey(chain.layout, chain.name, 0, epoch, epoch);
}

export function snapshotKey(chain: Chain, epoch: number): string {
  return objectKey(chain.layout, chain.name, SNAPSHOT_LEVEL, 1, epoch);
}

/**
 * All objects of one level whose first epoch is at least `fromEpoch`, in ascending order. Other
 * things that lie under the prefix are passed over: they are not ours.
 */
export async function listLevel(
  chain: Chain,
  level: number,
  fromEpoch = 1,
): Promise<ChainObject[]> {
  const found: ChainObject[] = [];
  for await (const page of levelPages(chain, level, fromEpoch)) found.push(...page);
  return found;
}

/** The same a page at a time, for levels that may hold more than fits into memory. */
export async function* levelPages(
  chain: Chain,
  level: number,
  fromEpoch = 1,
): AsyncGenerator<ChainObject[]> {
  const prefix = levelPrefix(chain.layout, chain.name, level);
  let startAfter = fromEpoch > 1
    ? objectKey(chain.layout, chain.name, level, fromEpoch - 1, Number.MAX_SAFE_INTEGER)
    : undefined;
  while (true) {
    const page = await chain.store.list(prefix, startAfter === undefined ? {} : { startAfter });
    yield page.objects.map((object) => parsedObject(chain, object)).filter((found) =>
      found !== null
    );
    const last = page.objects.at(-1);
    if (!page.more || !last) return;
    startAfter = last.key;
  }
}

/** True when the chain has any object in level 0 after `epoch`: one request. */
export async function hasEpochAfter(chain: Chain, epoch: number): Promise<boolean> {
  const page = await chain.store.list(levelPrefix(chain.layout, chain.name, 0), {
    startAfter: epochKey(chain, epoch),
    limit: 1,
  });
  return page.objects.length > 0;
}

function parsedObject(chain: Chain, object: ListedObject): ChainObject | null {
  const name: ObjectName | null = parseObjectKey(chain.layout, object.key);
  if (!name || name.database !== chain.name) return null;
  return {
    key: object.key,
    size: object.size,
    modifiedAtMs: object.modifiedAtMs,
    level: name.level,
    min: name.min,
    max: name.max,
  };
}
