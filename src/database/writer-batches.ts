/** The batches of a workspace: the open one, and before it perhaps one that is being taken. */
import { assert } from "../base/assert.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import type { Failure } from "../base/failure.ts";
import { PendingBatch, type PendingRequest } from "./pending-batch.ts";
import type { Taking } from "./writer-take.ts";

export class Batches {
  /** Requests since the last take. */
  open = new PendingBatch();
  taking: Taking | null = null;
  #waiting: Deferred<void>[] = [];

  /** What the child answers next is about this one: it hears of the open one after the take. */
  get current(): PendingBatch {
    return this.taking?.batch ?? this.open;
  }

  get isSettled(): boolean {
    return this.open.isSettled && this.current.isSettled;
  }

  get isEmpty(): boolean {
    return this.open.size === 0 && this.taking === null;
  }

  /** Resolves when everything has executed. */
  async settled(): Promise<void> {
    if (this.isSettled) return;
    const waiting = deferred<void>();
    this.#waiting.push(waiting);
    await waiting.promise;
  }

  /** Tells those who wait, if everything has executed. */
  announceSettled(): void {
    if (this.#waiting.length === 0 || !this.isSettled) return;
    for (const waiting of this.#waiting.splice(0)) waiting.resolve();
  }

  /** Rejects all that is waited for. */
  fail(failure: Failure): void {
    this.taking?.done.reject(failure);
    this.taking = null;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(failure);
  }

  /** The open batch becomes the one that is taken, and a new one is open. */
  seal(taking: Omit<Taking, "batch" | "isSent">): void {
    assert(this.taking === null, "a batch is taken after the one before");
    this.taking = { ...taking, batch: this.open, isSent: false };
    this.open = new PendingBatch();
  }

  /** The batch of the request with this serial, if it is not ended. */
  find(serial: number): { batch: PendingBatch; pending: PendingRequest } | null {
    for (const batch of [this.current, this.open]) {
      const pending = batch.find(serial);
      if (pending !== null) return { batch, pending };
    }
    return null;
  }

  /** The child is gone: everything is to be sent again. */
  unsend(): void {
    if (this.taking !== null) {
      this.taking.batch.unsend();
      this.taking.isSent = false;
    }
    this.open.unsend();
  }
}
