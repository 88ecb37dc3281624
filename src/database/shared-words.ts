/**
 * A few words of memory that the pool and a reader share, since a process that is stuck in SQLite
 * neither sends nor receives: the pool sees what it executes, and takes away what it has not begun.
 */
import { rmSync, writeFileSync } from "node:fs";

const WORDS = 16;
const STARTED_BATCH = 0;
const RUNNING_READ = 1;
const ABANDONED_BATCH = 2;

export class SharedWords {
  readonly #words: Uint32Array;

  /** `create` makes the file anew; the other process opens it after that. */
  constructor(path: string, create: boolean) {
    if (create) makeFile(path);
    const bytes = Bun.mmap(path, { shared: true });
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, WORDS);
  }

  /** The newest batch that the reader has begun, by the reader. */
  get startedBatch(): number {
    return Atomics.load(this.#words, STARTED_BATCH);
  }

  set startedBatch(id: number) {
    Atomics.store(this.#words, STARTED_BATCH, id);
  }

  /** The read that it executes, 0 for none, by the reader. */
  get runningRead(): number {
    return Atomics.load(this.#words, RUNNING_READ);
  }

  set runningRead(number: number) {
    Atomics.store(this.#words, RUNNING_READ, number);
  }

  /**
   * Reads of this and earlier batches that have not begun are no longer wanted, by the pool. It is
   * written before `startedBatch` is read, and read after that is written, so one of both is seen.
   */
  get abandonedBatch(): number {
    return Atomics.load(this.#words, ABANDONED_BATCH);
  }

  set abandonedBatch(id: number) {
    Atomics.store(this.#words, ABANDONED_BATCH, id);
  }
}

/** Leaves no empty file behind where there is no room. */
function makeFile(path: string): void {
  try {
    writeFileSync(path, new Uint8Array(WORDS * 4), { mode: 0o600 });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}
