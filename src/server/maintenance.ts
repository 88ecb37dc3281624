/** What a node does by itself now and then: its broker file, forgetting old answers, its catalog. */
import type { Clock } from "../base/clock.ts";
import { describe, type Failure, isFailure } from "../base/failure.ts";
import { CLOCK_OFFSET_MS_MAX, KEPT_ANSWER_MS, MACHINERY_TIMEOUT_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { Replica } from "../replica/replica.ts";
import type { Catalog } from "./catalog.ts";
import type { BrokerRecord } from "./broker-record.ts";
import type { BrokerFile } from "./cluster-files.ts";
import type { Retention } from "./retention.ts";

export interface MaintenanceOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly catalog: Catalog;
  leads(): boolean;
  /** Time of the store minus own clock. */
  clockOffsetMs(): number;
  readonly retention: Retention;
  readonly pruneEveryMs: number;
  readonly record: BrokerRecord;
  readonly recordEveryMs: number;
  /** This node is in no roster and has no file. */
  isAway(): boolean;
  facts(): Omit<BrokerFile, "format" | "at">;
  onReplaced(failure: Failure): void;
}

/** A database that is not written any more is snapshotted too. */
const SNAPSHOT_LOOK_MS = 600_000;
const FORGET_EVERY_MS = 3600 * 1000;
const REFRESH_EVERY_MS = 5_000;
/** One slice of one image: some 20 MB, so a few GB are looked at each day even among a hundred. */
const SCRUB_EVERY_MS = 10_000;

export class Maintenance {
  readonly #options: MaintenanceOptions;
  readonly #cancels = new Set<() => void>();
  #open = true;
  #scrubs = 0;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  start(): void {
    const { recordEveryMs, pruneEveryMs, retention } = this.#options;
    this.#every(recordEveryMs, "write the broker file", async () => {
      if (!this.#options.isAway()) await this.record();
    });
    this.#every(FORGET_EVERY_MS, "forget old answers", () => this.#forgetAnswers());
    this.#every(pruneEveryMs, "prune", async () => void await retention.prune());
    this.#every(SCRUB_EVERY_MS, "scrub an image", () => this.#scrub());
    this.#every(SNAPSHOT_LOOK_MS, "look for due snapshots", () => this.#snapshots());
    this.#every(REFRESH_EVERY_MS, "read the catalog", () => this.#refresh());
  }

  close(): void {
    this.#open = false;
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  async record(): Promise<void> {
    const { record, facts, onReplaced } = this.#options;
    try {
      await record.write(facts());
    } catch (error) {
      if (isFailure(error, "conflict")) onReplaced(error);
      else throw error;
    }
  }

  // deno-lint-ignore require-await -- like all that is done now and then
  async #snapshots(): Promise<void> {
    for (const replica of this.#options.catalog.replicas()) replica.snapshotIfDue();
  }

  async #scrub(): Promise<void> {
    const replicas = this.#options.catalog.replicas();
    await replicas[this.#scrubs++ % replicas.length]?.scrub();
  }

  /** A follower of `system` learns of new and dropped databases from its image. */
  async #refresh(): Promise<void> {
    if (!this.#options.leads()) await this.#options.catalog.refresh();
  }

  /** Answers of idempotency keys are kept for a day; nothing is written where none is older. */
  async #forgetAnswers(): Promise<void> {
    const { clock, catalog, leads, clockOffsetMs, log } = this.#options;
    if (!leads()) return;
    const offsetMs = clockOffsetMs();
    if (Math.abs(offsetMs) > CLOCK_OFFSET_MS_MAX) {
      return log.warn("no old answers are forgotten: this clock is not the store's [I11]", {
        offset_ms: Math.round(offsetMs),
      });
    }
    const before = Math.floor(clock.nowMs() + offsetMs - KEPT_ANSWER_MS);
    for (const replica of catalog.replicas()) {
      if (replica.name === SYSTEM_DATABASE || replica.state !== "owning") continue;
      if (await hasOlder(replica, before)) {
        await replica.execute({
          statements: [{ sql: "DELETE FROM _headgate_requests WHERE at < ?", params: [before] }],
          subject: "headgate",
          deadlineMs: clock.monotonicMs() + MACHINERY_TIMEOUT_MS,
          trusted: true,
        });
      }
    }
  }

  #every(ms: number, what: string, work: () => Promise<void>): void {
    if (!this.#open) return;
    const cancel = this.#options.clock.after(ms, async () => {
      this.#cancels.delete(cancel);
      try {
        await work();
      } catch (error) {
        this.#options.log.warn(`could not ${what}`, { cause: describe(error) });
      }
      this.#every(ms, what, work);
    });
    this.#cancels.add(cancel);
  }
}

async function hasOlder(replica: Replica, beforeMs: number): Promise<boolean> {
  return await replica.image.read((database) =>
    database.query("SELECT 1 FROM _headgate_requests WHERE at < ? LIMIT 1").values(beforeMs)
      .length > 0
  );
}
