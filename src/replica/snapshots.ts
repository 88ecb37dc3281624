/** When a replica's chain is snapshotted: counted here, written by `snapshot.ts`, one at a time. */
import { describe, Failure } from "../base/failure.ts";
import type { Image } from "../database/image.ts";
import type { EpochKind } from "../epoch/epoch.ts";
import type { Chain } from "./chain.ts";
import type { Joined } from "./join.ts";
import type { Parts } from "./parts.ts";
import { snapshotDue, writeSnapshot } from "./snapshot.ts";

export class Snapshots {
  readonly #parts: Parts;
  readonly #chain: Chain;
  readonly #onWritten: (epoch: number) => void;
  readonly #closing = new AbortController();
  #newest = 0;
  #newestAtMs: number;
  #chainBytes = 0;
  #epochs = 0;
  #running: Promise<number> | null = null;
  #failedAtMs = -Infinity;

  constructor(parts: Parts, chain: Chain, onWritten: (epoch: number) => void) {
    this.#parts = parts;
    this.#chain = chain;
    this.#onWritten = onWritten;
    this.#newestAtMs = parts.clock.nowMs();
  }

  /** The newest snapshot that is known; 0 when there is none. */
  get newest(): number {
    return this.#newest;
  }

  /** Age of the newest snapshot if there were epochs since, else 0. */
  get ageMs(): number {
    return this.#epochs === 0 ? 0 : this.#parts.clock.nowMs() - this.#newestAtMs;
  }

  joined(joined: Joined): void {
    this.#newest = joined.snapshot;
    if (joined.snapshotAtMs > 0) this.#newestAtMs = joined.snapshotAtMs;
    this.#chainBytes = joined.chainBytes;
    this.#epochs = joined.head.epoch - joined.snapshot;
  }

  /** One more durable epoch. `image` is null on a follower, which writes no snapshots. */
  count(bytes: number, image: Image | null, kind: EpochKind): void {
    this.#chainBytes += bytes;
    this.#epochs++;
    this.look(image, kind);
  }

  /** Writes one if it is due, also where nothing was written for long. */
  look(image: Image | null, kind: EpochKind): void {
    if (!image || this.#running || kind === "tombstone") return;
    const { clock, options } = this.#parts;
    const due = snapshotDue({
      chainBytes: this.#chainBytes,
      databaseBytes: image.head.commit * image.pageSize,
      snapshotAgeMs: clock.nowMs() - this.#newestAtMs,
      epochs: this.#epochs,
    }, options);
    if (!due || clock.monotonicMs() - this.#failedAtMs < RETRY_MS) return;
    this.now(image, "claim").catch((error) => {
      this.#failedAtMs = clock.monotonicMs();
      this.#parts.log.warn("could not write a snapshot", {
        database: this.#chain.name,
        cause: describe(error),
      });
    });
  }

  /** Writes one of the image as it is now, after one that is under way. Returns its epoch. */
  async now(image: Image, kind: EpochKind): Promise<number> {
    // That one is of an earlier epoch, and possibly of an image that was replaced since.
    while (this.#running) await this.#running.catch(() => {});
    // A snapshot holds claims, so a reader of kinds must not take it for plain data (I4).
    const written = kind === "tombstone" ? "tombstone" : "claim";
    this.#running = this.#write(image, written).finally(() => this.#running = null);
    return await this.#running;
  }

  close(): void {
    this.#closing.abort(new Failure("unavailable", `${this.#chain.name} is being closed`));
  }

  async #write(image: Image, kind: EpochKind): Promise<number> {
    const { clock, log } = this.#parts;
    const startedMs = clock.monotonicMs();
    const before = { bytes: this.#chainBytes, epochs: this.#epochs };
    const signal = this.#closing.signal;
    const { epoch, size } = await writeSnapshot(this.#parts, this.#chain, image, kind, signal);
    this.#newest = epoch;
    this.#newestAtMs = clock.nowMs();
    this.#chainBytes -= before.bytes;
    this.#epochs -= before.epochs;
    log.info("snapshot written and verified", {
      database: this.#chain.name,
      epoch,
      bytes: size,
      ms: Math.round(clock.monotonicMs() - startedMs),
    });
    this.#onWritten(epoch);
    return epoch;
  }
}

/** After a snapshot failed. */
const RETRY_MS = 60_000;
