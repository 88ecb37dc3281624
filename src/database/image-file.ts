/**
 * The image as a memory-backed file: epochs go in with plain writes while a helper connection holds
 * SQLite's exclusive lock, and open readers see the change by the counter in page 1, which every
 * epoch carries. The helper never writes; one descriptor stays open for the file's whole life.
 */
import { Database } from "bun:sqlite";
import { rmSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { Failure } from "../base/failure.ts";
import { READ_GATE_MS, REPLICATION_CONFLICT_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { DecodedEpoch } from "../epoch/epoch.ts";
import type { Image, ImageHead, Rehearsal, ScrubProgress } from "./image.ts";
import { ImageConnections } from "./image-connections.ts";
import { ImageCopy } from "./image-copy.ts";
import { checkNext, hashPages, headAfter, writeEpoch } from "./image-apply.ts";
import { type PageFile, Slices } from "./page-file.ts";
import { ClockedGate } from "./read-gate.ts";

export interface ImageParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Defaults to `REPLICATION_CONFLICT_MS`. */
  readonly conflictMs?: number;
}

interface Waiting {
  readonly epoch: DecodedEpoch;
  readonly level: number;
  readonly bytes: number;
  readonly sinceMs: number;
  readonly done: Deferred<void>;
}

type Reached = { readonly epoch: number; readonly done: Deferred<void>; cancelTimer(): void };

/** Epochs go in together for this long before reads that wait get a turn. */
const WRITING_MS_MAX = 20;

export class FileImage implements Image {
  readonly gate: ClockedGate;
  readonly #file: PageFile;
  readonly #parts: ImageParts;
  /** Takes the exclusive lock. */
  readonly #helper: Database;
  readonly #connections: ImageConnections;
  #head: ImageHead;
  #queue: Waiting[] = [];
  #waitingBytes = 0;
  /** Epochs in the file whose lock is not given back yet. */
  #written: Waiting[] = [];
  #applying: Promise<void> | null = null;
  /** Set while the file is between two epochs' contents. */
  #changing: Promise<void> | null = null;
  #broken: Failure | null = null;
  #reached: Reached[] = [];
  readonly #copies = new Set<ImageCopy>();
  #scrubbed = 0;
  /** Over all epochs, so that many small ones in a row give others a turn too. */
  readonly #slices: Slices;

  /** `file` must hold exactly the database of `head`. */
  constructor(file: PageFile, head: ImageHead, parts: ImageParts) {
    this.#file = file;
    this.#head = head;
    this.#parts = parts;
    this.#slices = new Slices(parts.clock);
    this.#connections = new ImageConnections(file.path, file.pageSize);
    this.gate = new ClockedGate(parts.clock, {
      gateMs: READ_GATE_MS,
      conflictMs: parts.conflictMs ?? REPLICATION_CONFLICT_MS,
    });
    this.#helper = new Database(file.path, { readwrite: true, create: false });
    this.#helper.run("PRAGMA busy_timeout = 0");
  }

  get path(): string {
    return this.#file.path;
  }

  get pageSize(): number {
    return this.#file.pageSize;
  }

  get head(): ImageHead {
    return this.#head;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  apply(
    epoch: DecodedEpoch,
    level = epoch.header.minEpoch === epoch.header.maxEpoch ? 0 : 1,
  ): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken);
    const bytes = epoch.pages.length * this.pageSize;
    const done = deferred<void>();
    this.#queue.push({ epoch, level, bytes, sinceMs: this.#parts.clock.monotonicMs(), done });
    this.#waitingBytes += bytes;
    this.#applying ??= this.#applyQueue();
    return done.promise;
  }

  reached(epoch: number, deadlineMs: number): Promise<void> {
    if (this.#head.epoch >= epoch) return Promise.resolve();
    if (this.#broken) return Promise.reject(this.#broken);
    const done = deferred<void>();
    const { clock } = this.#parts;
    const waiter: Reached = {
      epoch,
      done,
      cancelTimer: clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () => {
        this.#reached = this.#reached.filter((other) => other !== waiter);
        done.reject(
          new Failure(
            "unavailable",
            `Cannot read at epoch ${epoch}: at the deadline this node's head was ${this.#head.epoch}`,
            { details: { reason: "behind", head: this.#head.epoch, min_epoch: epoch } },
          ),
        );
      }),
    };
    this.#reached.push(waiter);
    return done.promise;
  }

  async copy(path: string): Promise<ImageHead> {
    while (this.#changing) await this.#changing;
    if (this.#broken) throw this.#broken;
    const copy = new ImageCopy(this.#file, this.#head, path);
    this.#copies.add(copy);
    try {
      return await copy.run(this.#parts.clock);
    } finally {
      this.#copies.delete(copy);
    }
  }

  async scrubSlice(): Promise<ScrubProgress> {
    while (this.#changing) await this.#changing;
    if (this.#broken) throw this.#broken;
    const slices = new Slices(this.#parts.clock);
    const commit = this.#head.commit;
    if (this.#scrubbed >= commit) this.#scrubbed = 0;
    do {
      const count = Math.min(this.#file.runPagesMax, commit - this.#scrubbed);
      this.#file.check(this.#scrubbed + 1, this.#file.readRun(this.#scrubbed + 1, count));
      this.#scrubbed += count;
    } while (this.#scrubbed < commit && !slices.over);
    return { pages: this.#scrubbed, done: this.#scrubbed === commit };
  }

  async read<T>(read: (database: Database) => T): Promise<T> {
    while (this.#changing) await this.#changing;
    if (this.#broken) throw this.#broken;
    return this.#connections.read(read);
  }

  async rehearse<T>(run: (rehearsal: Rehearsal) => T): Promise<T> {
    while (this.#changing) await this.#changing;
    if (this.#broken) throw this.#broken;
    return this.#connections.rehearse(run);
  }

  async close(): Promise<void> {
    this.#break(new Failure("unavailable", `The image ${this.path} is closed`));
    this.gate.close();
    await this.#applying;
    while (this.#copies.size > 0) await this.#parts.clock.turn();
    this.#connections.close();
    this.#helper.close(true);
    this.#file.close();
    rmSync(this.path, { force: true });
  }

  /** Never rejects: each epoch's promise has its outcome. */
  async #applyQueue(): Promise<void> {
    for (;;) {
      const first = this.#queue[0];
      // Hashed before readers are kept away.
      const hashes = first ? await this.#prepare(first) : null;
      // Closed meanwhile: its gate lets nobody in any more, and `close` waits for this to end.
      if (!first || !hashes || this.#broken) {
        // Now, not a moment later: whoever applies next must begin a new run.
        this.#applying = null;
        return;
      }
      await this.gate.write(first.sinceMs);
      const changed = deferred<void>();
      this.#changing = changed.promise;
      try {
        await this.#lock();
        await this.#writeWaiting(first, hashes);
      } catch (error) {
        // The file may be torn: nobody reads it again.
        this.#break(this.#asFailure(error, first));
        this.gate.close();
      }
      if (this.#helper.inTransaction) this.#helper.run("COMMIT");
      this.#changing = null;
      changed.resolve();
      this.gate.written();
      this.#settle();
    }
  }

  /** The hashes of the epoch's pages; null when it cannot follow, which breaks the image. */
  async #prepare(waiting: Waiting): Promise<BigUint64Array | null> {
    try {
      checkNext(this.#head, this.pageSize, waiting.epoch, waiting.level);
      if (this.#slices.over) await this.#slices.turn();
      return await hashPages(this.#file, waiting.epoch, this.#slices);
    } catch (error) {
      this.#break(this.#asFailure(error, waiting));
      return null;
    }
  }

  #asFailure(error: unknown, { epoch }: Waiting): Failure {
    if (error instanceof Failure) return error;
    return new Failure(
      "corrupt",
      `Cannot apply epoch ${epoch.header.maxEpoch} to ${this.path}`,
      { cause: error },
    );
  }

  /** Under the lock: the first epoch, and those behind it that are there in time. */
  async #writeWaiting(first: Waiting, firstHashes: BigUint64Array): Promise<void> {
    const { clock } = this.#parts;
    const untilMs = clock.monotonicMs() + WRITING_MS_MAX;
    let waiting: Waiting | undefined = first;
    let hashes: BigUint64Array | null = firstHashes;
    while (waiting && hashes) {
      await writeEpoch(this.#file, waiting.epoch, hashes, this.#copies, this.#slices);
      this.#head = headAfter(waiting.epoch, waiting.level);
      this.#written.push(waiting);
      if (this.#queue[0] === waiting) {
        this.#queue.shift();
        this.#waitingBytes -= waiting.bytes;
      }
      waiting = clock.monotonicMs() < untilMs ? this.#queue[0] : undefined;
      hashes = waiting ? await this.#prepare(waiting) : null;
    }
  }

  #settle(): void {
    for (const waiting of this.#written) waiting.done.resolve();
    this.#written = [];
    if (this.#reached.length === 0) return;
    const reached = this.#reached.filter((waiter) => waiter.epoch <= this.#head.epoch);
    if (reached.length === 0) return;
    this.#reached = this.#reached.filter((waiter) => waiter.epoch > this.#head.epoch);
    for (const waiter of reached) {
      waiter.cancelTimer();
      waiter.done.resolve();
    }
  }

  /** The second line of defence: the gate has let every reader out that it knows. */
  async #lock(): Promise<void> {
    const { clock, log } = this.#parts;
    const sinceMs = clock.monotonicMs();
    let told = false;
    while (!this.#tryLock()) {
      await clock.sleep(1);
      if (told || clock.monotonicMs() - sinceMs < REPLICATION_CONFLICT_MS) continue;
      told = true;
      log.warn("a process that is no reader of this node keeps an image locked", {
        path: this.path,
      });
    }
  }

  #tryLock(): boolean {
    try {
      this.#helper.run("BEGIN EXCLUSIVE");
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "SQLITE_BUSY") return false;
      throw error;
    }
  }

  #break(failure: Failure): void {
    this.#broken ??= failure;
    for (const waiting of this.#queue.splice(0)) waiting.done.reject(failure);
    for (const waiter of this.#reached.splice(0)) {
      waiter.cancelTimer();
      waiter.done.reject(failure);
    }
    this.#waitingBytes = 0;
  }
}
