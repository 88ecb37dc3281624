/**
 * Which reader executes which reads. Reads gather for a turn of the event loop, pass the gate of
 * their image as one batch, and go to a reader in one message. A read that takes long keeps nobody
 * else: those behind it go to another reader, long reads never take all readers, and at its
 * deadline the process that executes a read is killed.
 */
import type { Failure } from "../base/failure.ts";
import { CHILD_BYTES_MAX, READ_STALL_MS } from "../base/limits.ts";
import type { GatedRead, Image } from "./image.ts";
import {
  imageReplaced,
  inTheWay,
  nodeCloses,
  pastDeadline,
  processEnded,
  tooMuchMemory,
} from "./read-failures.ts";
import { Crew, type CrewOptions } from "./reader-crew.ts";
import { Lane, type PendingRead } from "./reader-lane.ts";
import type { Result } from "./reader-message.ts";
import type { ReaderProcess, RunningBatch } from "./reader-process.ts";

export interface DispatchOptions extends CrewOptions {
  readonly childBytesMax?: number;
}

/** Outcomes; of a read that has one already, they do nothing. */
export interface DispatchEvents {
  answer(read: PendingRead, result: Result, epoch: number): void;
  fail(read: PendingRead, failure: Failure): void;
}

/** How often readers with work are looked at, and how many of these looks reads that wait get one. */
const LOOK_MS = 5;
const LOOKS_PER_WAITING = 10;
/** A read that takes this long has the lowest priority, and may be one too many. */
const LONG_MS = 50;

export class Dispatcher {
  readonly #options: DispatchOptions;
  readonly #events: DispatchEvents;
  readonly #crew: Crew;
  readonly #lanes = new Map<Image, Lane>();
  #pumpIsDue = false;
  #lookIsDue = false;
  #looks = 0;
  #closed = false;

  constructor(options: DispatchOptions, events: DispatchEvents) {
    this.#options = options;
    this.#events = events;
    this.#crew = new Crew(options, {
      ready: () => this.#pump(),
      result: (read, result, epoch) => events.answer(read, result, epoch),
      batchDone: ({ image, hold }) => {
        image.gate.leave(hold);
        this.#pump();
      },
      ended: (reader, batches, running) => this.#ended(reader, batches, running),
    });
  }

  add(read: PendingRead): void {
    this.#lane(read.image).add(read);
    this.#pumpSoon();
    this.#lookLater();
  }

  async forget(image: Image): Promise<void> {
    const lane = this.#lanes.get(image);
    if (lane) this.#dropLane(lane, imageReplaced(image));
    const isReading = () =>
      [...this.#crew.readers].some(({ batches }) => batches.some((batch) => batch.image === image));
    if (isReading()) await this.#options.clock.sleep(2 * READ_STALL_MS);
    for (const reader of this.#crew.readers) {
      for (const batch of reader.batches) {
        if (batch.image !== image) continue;
        this.#failBatch(reader, batch, imageReplaced(image));
        this.#end(reader, imageReplaced(image));
      }
    }
    const readers = [...this.#crew.readers];
    await Promise.all(
      readers.map((reader) => reader.killed ? reader.exited : reader.forget(image.path)),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#crew.close();
    for (const lane of this.#lanes.values()) this.#dropLane(lane, nodeCloses());
    const readers = [...this.#crew.readers];
    for (const reader of readers) {
      for (const batch of reader.batches) this.#failBatch(reader, batch, nodeCloses());
      reader.kill();
    }
    await Promise.all(readers.map((reader) => reader.exited));
  }

  #lane(image: Image): Lane {
    let lane = this.#lanes.get(image);
    if (!lane) this.#lanes.set(image, lane = new Lane(image));
    return lane;
  }

  #dropLane(lane: Lane, failure: Failure): void {
    this.#lanes.delete(lane.image);
    for (const read of lane.clear()) this.#events.fail(read, failure);
    if (lane.atGate) lane.image.gate.leave(lane.atGate);
    lane.atGate = null;
  }

  #pumpSoon(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    this.#options.clock.turn().then(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  /** Sends what waits to readers that can take it. */
  #pump(): void {
    if (this.#closed) return;
    let waits = false;
    for (const lane of this.#lanes.values()) {
      while (!lane.atGate && lane.hasShort && this.#crew.free()) this.#enter(lane, false);
      while (!lane.atGate && lane.hasLong && this.#crew.freeForLong()) this.#enter(lane, true);
      if (lane.isEmpty && !lane.atGate) this.#lanes.delete(lane.image);
      else waits = true;
    }
    if (waits || this.#crew.isWorking) this.#crew.start(false);
  }

  #enter(lane: Lane, isLong: boolean): void {
    const { image } = lane;
    const hold: GatedRead = {
      begin: () => {
        lane.atGate = null;
        const reader = isLong ? this.#crew.freeForLong() : this.#crew.free();
        const reads = !reader ? [] : isLong ? lane.takeLong() : lane.take();
        if (!reader || reads.length === 0) return image.gate.leave(hold);
        reader.read(image, reads, hold);
      },
      cancel: () => this.#cancel(lane, hold),
    };
    lane.atGate = hold;
    image.gate.enter(hold);
  }

  #lookLater(): void {
    if (this.#lookIsDue) return;
    this.#lookIsDue = true;
    const { clock } = this.#options;
    const dueMs = clock.monotonicMs() + LOOK_MS;
    clock.after(LOOK_MS, () => {
      // After a stall of our own, what readers have sent is heard before they are judged.
      if (clock.monotonicMs() - dueMs < READ_STALL_MS) this.#lookOn();
      else clock.turn().then(() => this.#lookOn());
    });
  }

  #lookOn(): void {
    this.#lookIsDue = false;
    if (this.#closed) return;
    try {
      this.#look();
    } finally {
      if (this.#lanes.size > 0 || this.#crew.isWorking) this.#lookLater();
    }
  }

  #look(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const reader of this.#crew.readers) {
      if (!reader.killed && reader.batches.length > 0) this.#judge(reader, nowMs);
    }
    if (this.#crew.hasTooManyLong) this.#limitLong(nowMs);
    const looksAtWaiting = this.#looks++ % LOOKS_PER_WAITING === 0;
    let isLate = false;
    for (const lane of this.#lanes.values()) {
      if (!lane.atGate && lane.hasShort && nowMs - lane.firstSinceMs > READ_STALL_MS) isLate = true;
      if (!looksAtWaiting) continue;
      for (const read of lane.waiting()) {
        if (nowMs >= read.request.deadlineMs) this.#events.fail(read, pastDeadline(read));
      }
    }
    if (isLate) this.#crew.start(true);
    this.#pump();
  }

  /** What becomes of a reader at work: nothing, others take over, or its end. */
  #judge(reader: ReaderProcess, nowMs: number): void {
    const bytesMax = this.#options.childBytesMax ?? CHILD_BYTES_MAX;
    if (reader.residentBytes() > bytesMax) return this.#end(reader, tooMuchMemory(bytesMax));
    const running = reader.running()?.read;
    if (running && nowMs >= running.request.deadlineMs) {
      return this.#end(reader, pastDeadline(running));
    }
    if (!reader.stuck && nowMs - reader.progressMs > READ_STALL_MS) this.#unburden(reader);
    if (reader.stuck && nowMs - reader.progressMs > LONG_MS) reader.yieldProcessor();
  }

  /** Of too many long reads the youngest goes back; it begins again when another has ended. */
  #limitLong(nowMs: number): void {
    const reader = this.#crew.youngestLong();
    if (!reader || nowMs - reader.progressMs <= LONG_MS) return;
    const running = reader.running()?.read;
    if (!running) return;
    running.isLong = true;
    this.#end(reader, null);
  }

  /** The read that it executes keeps it; all others begin elsewhere. */
  #unburden(reader: ReaderProcess): void {
    const { reads, batches } = reader.takeAway();
    reader.stuck = true;
    this.#requeue(reader, reads);
    for (const { image, hold } of batches) image.gate.leave(hold);
    this.#crew.start(false);
  }

  /** Kills a reader; what it executes gets the failure, the others begin again elsewhere. */
  #end(reader: ReaderProcess, failure: Failure | null): void {
    if (reader.killed) return;
    const running = reader.running()?.read;
    if (running && failure) this.#events.fail(running, failure);
    this.#options.log.debug("a reader process is ended", {
      pid: reader.pid,
      reason: failure?.message,
    });
    reader.kill();
    this.#requeue(reader, reader.batches.flatMap((batch) => batch.reads));
    this.#pumpSoon();
  }

  /** A reader has ended: `running` is what it executed if it ended by itself. */
  #ended(
    reader: ReaderProcess,
    batches: readonly RunningBatch[],
    running: PendingRead | null,
  ): void {
    this.#crew.remove(reader);
    if (running) this.#events.fail(running, processEnded());
    for (const { image, hold } of batches) image.gate.leave(hold);
    this.#requeue(reader, batches.flatMap((batch) => batch.reads));
    this.#pumpSoon();
  }

  /** Back to the lanes, those that are still this reader's. */
  #requeue(reader: ReaderProcess, reads: readonly PendingRead[]): void {
    if (this.#closed) return;
    const mine = reads.filter((read) => read.reader === reader && !read.answered);
    for (const read of mine) read.reader = null;
    for (const image of new Set(mine.map((read) => read.image))) {
      this.#lane(image).addFirst(mine.filter((read) => read.image === image));
    }
    if (mine.length > 0) this.#lookLater();
  }

  #failBatch(reader: ReaderProcess, batch: RunningBatch, failure: Failure): void {
    for (const read of batch.reads) if (read.reader === reader) this.#events.fail(read, failure);
  }

  /** A batch is in the way of an epoch, or its image is closed. */
  #cancel(lane: Lane, hold: GatedRead): void {
    for (const reader of this.#crew.readers) {
      const batch = reader.batches.find((other) => other.hold === hold);
      if (!batch) continue;
      this.#failBatch(reader, batch, inTheWay());
      return this.#end(reader, inTheWay());
    }
    // It never went in: the image is closed.
    lane.atGate = null;
    this.#dropLane(lane, imageReplaced(lane.image));
  }
}
