/**
 * Pruning by age: what lies before the newest verified snapshot that is older than the window goes
 * (I10). Ages are counted on the store's time, and nothing is removed while this node's clock is far
 * from it (I11). A chain is looked at only once a verified snapshot has become old enough, so an idle
 * cluster lists nothing.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { CLOCK_OFFSET_MS_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { pruneBelow, retentionBase } from "../replica/prune.ts";
import type { Replica } from "../replica/replica.ts";
import type { Catalog } from "./catalog.ts";

const EVERY_MS_MAX = 60_000;

/** How often to look: often enough that little is kept for longer than it must be. */
export function pruneEveryMs(windowMs: number): number {
  return Math.min(EVERY_MS_MAX, windowMs / 8);
}

export interface RetentionOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly catalog: Catalog;
  /** For how long every epoch can be restored. */
  readonly windowMs: number;
  leads(): boolean;
  /** Time of the store minus own clock. */
  clockOffsetMs(): number;
}

export class Retention {
  readonly #options: RetentionOptions;
  /** The snapshot of each database that this process has pruned below. */
  readonly #prunedBelow = new Map<string, number>();

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** One look at all databases, if this node leads. Returns how many objects went. */
  async prune(): Promise<number> {
    const { clock, log, catalog, leads, clockOffsetMs, windowMs } = this.#options;
    if (!leads()) return 0;
    const offsetMs = clockOffsetMs();
    if (Math.abs(offsetMs) > CLOCK_OFFSET_MS_MAX) {
      log.warn("nothing is pruned: this clock is not the store's [I11]", {
        offset_ms: Math.round(offsetMs),
      });
      return 0;
    }
    let removed = 0;
    for (const replica of catalog.replicas()) {
      const beforeMs = clock.nowMs() + clockOffsetMs() - windowMs;
      try {
        removed += await this.#pruneOne(replica, beforeMs);
      } catch (error) {
        log.warn("could not prune a database", {
          database: replica.name,
          cause: describe(error),
        });
      }
      if (!leads()) break;
    }
    return removed;
  }

  async #pruneOne(replica: Replica, beforeMs: number): Promise<number> {
    const { name, chain } = replica;
    const { database } = this.#options.catalog.system;
    const verified = await database.verifiedSnapshots(name);
    const due = verified.findLast(({ verifiedAtMs }) => verifiedAtMs <= beforeMs);
    if (!due || due.epoch <= (this.#prunedBelow.get(name) ?? 0)) return 0;
    const epochs = new Set(verified.map(({ epoch }) => epoch));
    const base = await retentionBase(chain, epochs, beforeMs);
    if (base === null || base <= (this.#prunedBelow.get(name) ?? 0)) return 0;
    const removed = await pruneBelow(chain, base);
    this.#prunedBelow.set(name, base);
    if (verified.some(({ epoch }) => epoch < base)) {
      await database.forgetSnapshotsBefore(name, base);
    }
    const { log } = this.#options;
    log.info("pruned", { database: name, below_epoch: base, objects: removed });
    return removed;
  }
}
