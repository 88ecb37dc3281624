/**
 * Following through the store: the next epoch by its number, checked by link and applied in order
 * (I9). A wrong link or checksum means that the image must be rebuilt, never that an epoch is
 * skipped.
 */
import { Failure, isFailure } from "../base/failure.ts";
import { FETCHES_MAX } from "../base/limits.ts";
import type { Image } from "../database/image.ts";
import type { EpochKind } from "../epoch/epoch.ts";
import { type Chain, epochKey, hasEpochAfter, listLevel, SNAPSHOT_LEVEL } from "./chain.ts";
import { decodeSliced } from "./fetch.ts";
import { hex } from "./join.ts";
import type { StoredObject } from "../store/store.ts";
import type { Parts } from "./parts.ts";

/** Called for each epoch in the image: what it is for, and bytes of its object. */
export type OnApplied = (kind: EpochKind, bytes: number) => void;

/** After a larger object only one is read at a time, so that memory stays bounded. */
const AHEAD_BYTES_MAX = 1024 * 1024;

/** Reads the epochs after a head in order, and those that are known to be there several at a time. */
class Ahead {
  readonly #chain: Chain;
  readonly #known: () => number;
  readonly #reading: Promise<StoredObject | null>[] = [];
  #next: number;
  /** How large they are is known when the first have come, so it begins with few. */
  #most = 2;

  constructor(chain: Chain, head: number, known: () => number) {
    this.#chain = chain;
    this.#known = known;
    this.#next = head + 1;
  }

  /** The next epoch, or null where there is none. One more is asked for while it is applied. */
  async read(): Promise<StoredObject | null> {
    this.#ask(1);
    const stored = await this.#reading.shift();
    if (!stored) return null;
    const isSmall = stored.bytes.byteLength <= AHEAD_BYTES_MAX;
    this.#most = isSmall ? Math.min(2 * this.#most, FETCHES_MAX) : 1;
    this.#ask(1);
    return stored;
  }

  #ask(least: number): void {
    const known = this.#reading.length + this.#known() - this.#next + 1;
    const wanted = Math.max(least, Math.min(this.#most, known));
    while (this.#reading.length < wanted) {
      const reading = this.#chain.store.get(epochKey(this.#chain, this.#next++));
      // It is heard of when its turn comes, if it comes.
      reading.catch(() => {});
      this.#reading.push(reading);
    }
  }
}

/**
 * Applies everything that the store holds after the image's head; `known` says how far the chain goes
 * at least. Rejects with `corrupt` when an object does not follow from the image, which is then
 * rebuilt.
 */
export async function catchUp(
  parts: Parts,
  { chain, image, known }: { chain: Chain; image: Image; known: () => number },
  onApplied: OnApplied,
): Promise<void> {
  const ahead = new Ahead(chain, image.head.epoch, known);
  while (true) {
    const head = image.head;
    const key = epochKey(chain, head.epoch + 1);
    const stored = await ahead.read();
    if (stored === null) return;
    const epoch = await decodeSliced(stored.bytes, key, parts.clock);
    if (epoch.header.minEpoch !== head.epoch + 1 || epoch.header.maxEpoch !== head.epoch + 1) {
      throw new Failure(
        "corrupt",
        `Cannot apply ${key}: it holds another epoch than its name says`,
      );
    }
    if (epoch.header.link !== head.fileChecksum) {
      throw new Failure(
        "corrupt",
        `Cannot apply ${key}: its link is ${hex(epoch.header.link)}, the image's last epoch has ` +
          `checksum ${hex(head.fileChecksum)}`,
      );
    }
    if (epoch.header.kind === "claim") await checkNotPruned(chain, head.epoch + 1);
    try {
      await image.apply(epoch);
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      throw new Failure("corrupt", `Cannot apply ${key}`, { cause: error });
    }
    onApplied(epoch.header.kind, stored.bytes.byteLength);
  }
}

/** A claim below a snapshot's end lies on a pruned part: what comes between is not to be had. */
async function checkNotPruned(chain: Chain, claim: number): Promise<void> {
  const snapshots = await listLevel(chain, SNAPSHOT_LEVEL);
  const above = snapshots.find(({ max }) => max > claim);
  if (above) {
    throw new Failure(
      "corrupt",
      `Cannot apply the claim ${claim} of ${chain.name}: the snapshot ${above.key} ends after it`,
    );
  }
}

/**
 * The next epoch is absent at the tip, and also where it was pruned: then others come after it.
 * Rejects with `corrupt`, so that the image is rebuilt. For a node that did not look for a while.
 */
export async function checkNextNotPruned(chain: Chain, image: Image): Promise<void> {
  const { epoch } = image.head;
  if (!(await hasEpochAfter(chain, epoch))) return;
  // It may have been written only now.
  const next = epochKey(chain, epoch + 1);
  if ((await chain.store.head(next)) !== null) return;
  throw new Failure(
    "corrupt",
    `Cannot follow ${chain.name} from epoch ${epoch} on: ${next} was pruned, and others follow`,
  );
}
