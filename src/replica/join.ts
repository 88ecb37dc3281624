/**
 * From the store to a database: the newest snapshot, then the fewest objects that extend it without
 * a gap, fetched in parallel, decoded in order, checked by link and checksum (PROTOCOL section 6).
 */
import { Failure } from "../base/failure.ts";
import {
  FETCH_PIECE_BYTES,
  FETCHES_MAX,
  JOIN_ATTEMPTS_MAX,
  JOIN_BYTES_AHEAD_MAX,
} from "../base/limits.ts";
import type { ImageBuilder, ImageHead } from "../database/image.ts";
import type { EpochHeader, Page } from "../epoch/epoch.ts";
import { decodeHeader, HEADER_BYTES } from "../epoch/header.ts";
import { planRestore } from "../epoch/plan.ts";
import {
  type Chain,
  type ChainObject,
  COMPACTED_LEVELS,
  epochKey,
  listLevel,
  SNAPSHOT_LEVEL,
} from "./chain.ts";
import { decodePieces, fetchPieces, gone } from "./fetch.ts";
import type { Parts } from "./parts.ts";

export interface Joined {
  /** Holds the content; the caller finishes it as an image or as a file. */
  readonly builder: ImageBuilder;
  readonly head: ImageHead;
  readonly pageSize: number;
  /** Kind of the last epoch: a tombstone ends a database. */
  readonly kind: EpochHeader["kind"];
  readonly snapshot: number;
  readonly snapshotAtMs: number;
  /** Bytes of the objects after the snapshot. */
  readonly chainBytes: number;
}

/** How far a join has come, in bytes of the objects that it reads. */
export interface JoinProgress {
  readonly bytes: number;
  readonly bytesTotal: number;
}

export interface JoinOptions {
  /** The last epoch wanted; the newest when absent. */
  readonly until?: number;
  build(pageSize: number): Promise<ImageBuilder>;
  /** Called with each piece that was read; of a plan that has to be made anew it begins anew. */
  onProgress?(progress: JoinProgress): void;
}

/** Reads the chain, or returns null when there is none. Objects that vanish are planned anew. */
export async function joinChain(
  parts: Parts,
  chain: Chain,
  options: JoinOptions,
): Promise<Joined | null> {
  for (let attempt = 1;; attempt++) {
    const objects = await listChain(chain, options.until);
    if (objects.length === 0) return null;
    const plan = planRestore(objects, options.until);
    if (plan.kind === "gap") {
      // Somebody asked for a moment that was pruned; without a wish, the chain has a hole.
      throw new Failure(
        options.until === undefined ? "corrupt" : "missing",
        `Cannot read ${chain.name} up to epoch ${plan.wanted}: no object holds epoch ${plan.missing}`,
      );
    }
    try {
      return await readPlan(parts, chain, plan.objects, options);
    } catch (error) {
      const vanished = error instanceof Failure && error.kind === "missing";
      if (!vanished || attempt >= JOIN_ATTEMPTS_MAX) throw error;
      parts.log.info("an object of the chain was pruned while it was read; planning again", {
        database: chain.name,
        attempt,
      });
    }
  }
}

/** The newest usable snapshot and all that may follow it. */
async function listChain(chain: Chain, until = Infinity): Promise<ChainObject[]> {
  const snapshots = (await listLevel(chain, SNAPSHOT_LEVEL)).filter(({ max }) => max <= until);
  const newest = snapshots.reduce((max, snapshot) => Math.max(max, snapshot.max), 0);
  const [level0, ...compacted] = await Promise.all([
    listLevel(chain, 0, newest + 1),
    ...COMPACTED_LEVELS.map((level) => listLevel(chain, level)),
  ]);
  return [...snapshots, ...compacted.flat(), ...level0 ?? []];
}

/** The last object read: its header and the file checksum of its last level-0 epoch. */
interface Last {
  readonly header: EpochHeader;
  readonly fileChecksum: bigint;
}

async function readPlan(
  parts: Parts,
  chain: Chain,
  objects: readonly ChainObject[],
  options: JoinOptions,
): Promise<Joined> {
  let builder: ImageBuilder | null = null;
  let last: Last | null = null;
  let chainBytes = 0;
  let snapshot: ChainObject | null = null;
  const bytesTotal = objects.reduce((sum, { size }) => sum + size, 0);
  let bytes = 0;
  const passed = (more: number) => {
    bytes += more;
    options.onProgress?.({ bytes, bytesTotal });
  };
  const take = async (pages: readonly Page[], header: EpochHeader) => {
    // Before a page is written: what else must hold is known at the object's end.
    if (last && header.pageSize !== last.header.pageSize) {
      throw new Failure(
        "corrupt",
        `Cannot read ${chain.name}: pages of epoch ${header.maxEpoch} have ${header.pageSize} ` +
          `bytes, those before it ${last.header.pageSize}`,
      );
    }
    builder ??= await options.build(header.pageSize);
    await builder.write(pages, header.commit);
  };
  try {
    for await (const { object, content } of fetchInOrder(parts, chain, objects)) {
      const read = counted(content instanceof Uint8Array ? [content] : content, passed);
      const streamed = await decodePieces(read, object.key, parts.clock, take);
      checkFollows(object, streamed, last);
      await take([], streamed.header);
      // Objects of level 1 and above carry the level-0 file checksum of their last epoch as link.
      const fileChecksum = object.level === 0 ? streamed.fileChecksum : streamed.header.link;
      last = { header: streamed.header, fileChecksum };
      if (object.level === SNAPSHOT_LEVEL) snapshot = object;
      else chainBytes += object.size;
    }
    if (!last || !builder) throw new Error("assertion failed: a plan without objects");
    const end = objects.at(-1);
    if (end && end.level > 0) await checkEnd(chain, end, last.header);
    return {
      builder,
      head: headOf(last),
      pageSize: last.header.pageSize,
      kind: last.header.kind,
      snapshot: snapshot?.max ?? 0,
      snapshotAtMs: snapshot?.modifiedAtMs ?? 0,
      chainBytes,
    };
  } catch (error) {
    await (builder as ImageBuilder | null)?.abandon();
    throw error;
  }
}

function headOf({ header, fileChecksum }: Last): ImageHead {
  return {
    epoch: header.maxEpoch,
    commit: header.commit,
    databaseChecksum: header.databaseChecksum,
    fileChecksum,
    timestampMs: header.timestampMs,
  };
}

/** I9: a level-0 epoch by its link, a compacted object by its range and the checksum at the end. */
function checkFollows(object: ChainObject, read: Last, last: Last | null): void {
  const { header } = read;
  const refuse = (why: string) => {
    throw new Failure("corrupt", `Cannot use ${object.key}: ${why}`);
  };
  if (header.minEpoch !== object.min || header.maxEpoch !== object.max) {
    refuse(`it holds epochs ${header.minEpoch} to ${header.maxEpoch}`);
  }
  if (last === null) {
    if (header.minEpoch !== 1) refuse("a database cannot start with it");
    const follows = object.level === 0 && header.link !== 0n;
    if (follows) refuse(`its link is ${hex(header.link)}, but no epoch is before it`);
    return;
  }
  if (object.level === 0 && header.link !== last.fileChecksum) {
    refuse(
      `its link is ${hex(header.link)}, the epoch before it has checksum ${hex(last.fileChecksum)}`,
    );
  }
}

/**
 * Nothing in a compacted object says whose it is. The next epoch's link tells; where there is none,
 * the epoch with which the object ends (I9).
 */
async function checkEnd(chain: Chain, object: ChainObject, header: EpochHeader): Promise<void> {
  const key = epochKey(chain, object.max);
  const start = await chain.store.getRange(key, { offset: 0, length: HEADER_BYTES });
  // Pruned, as it may be below a snapshot (I10): whoever asks for that moment has only this.
  if (start === null) return;
  const { databaseChecksum } = decodeHeader(start, key);
  if (databaseChecksum === header.databaseChecksum) return;
  throw new Failure(
    "corrupt",
    `Cannot use ${object.key}: its database checksum is ${hex(header.databaseChecksum)}, that of ` +
      `${key} is ${hex(databaseChecksum)}`,
  );
}

export function hex(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

interface Fetched {
  readonly object: ChainObject;
  readonly content: Uint8Array | AsyncIterable<Uint8Array>;
}

/**
 * The objects' bytes in order. Small ones are fetched whole, several at once and bounded in bytes;
 * one too large for that is read in pieces when its turn comes.
 */
async function* fetchInOrder(
  parts: Parts,
  chain: Chain,
  objects: readonly ChainObject[],
): AsyncGenerator<Fetched> {
  const ahead: { object: ChainObject; bytes: Promise<Uint8Array> | null }[] = [];
  let next = 0;
  let bytesAhead = 0;
  const isSmall = (object: ChainObject) => object.size <= FETCH_PIECE_BYTES;
  while (next < objects.length || ahead.length > 0) {
    while (ahead.length < FETCHES_MAX && bytesAhead < JOIN_BYTES_AHEAD_MAX) {
      const object = objects[next];
      if (!object) break;
      next++;
      const bytes = isSmall(object) ? fetchWhole(chain, object) : null;
      bytes?.catch(() => {});
      bytesAhead += bytes ? object.size : 0;
      ahead.push({ object, bytes });
    }
    const first = ahead.shift();
    if (!first) return;
    const { object, bytes } = first;
    if (bytes) bytesAhead -= object.size;
    yield {
      object,
      content: bytes ? await bytes : fetchPieces(parts.store, object.key, object.size),
    };
  }
}

async function fetchWhole(chain: Chain, object: ChainObject): Promise<Uint8Array> {
  const stored = await chain.store.get(object.key);
  if (stored === null) throw gone(object.key);
  return stored.bytes;
}

async function* counted(
  pieces: AsyncIterable<Uint8Array> | readonly Uint8Array[],
  passed: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    // Its memory may be given back by the time that the next one is asked for.
    const { byteLength } = piece;
    yield piece;
    passed(byteLength);
  }
}
