/**
 * From the queue into the open batch. While an epoch is in flight nothing is in a hurry, so requests
 * go to the workspace some at a time, a few ms of work ahead of it: a message for each would cost
 * more than the requests. When the batch closes, what still waits goes with it.
 */
import type { Clock } from "../base/clock.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_EXECUTE_MS_MAX,
  BATCH_REQUESTS_MAX,
  FEED_EVERY_MS,
  FEED_MS,
  FEED_REQUESTS_MAX,
  FEED_REQUESTS_START,
} from "../base/limits.ts";
import type { Workspace } from "../database/workspace.ts";
import type { Batch } from "./batch.ts";
import type { WriteQueue } from "./write-queue.ts";

export class Feed {
  readonly #clock: Clock;
  readonly #queue: WriteQueue;
  /** What is fed, while a batch is open. */
  #open: { readonly workspace: Workspace; readonly batch: Batch } | null = null;
  /** Given to the workspace and not yet executed. */
  #unsettled = 0;
  /** Requests given at once: about as many as take `FEED_MS`, learned from how long they took. */
  #window = FEED_REQUESTS_START;
  #fedAtMs = -Infinity;
  #openedAtMs = 0;
  #cancelNext: (() => void) | null = null;

  constructor(clock: Clock, queue: WriteQueue) {
    this.#clock = clock;
    this.#queue = queue;
  }

  get isOpen(): boolean {
    return this.#open !== null;
  }

  open(workspace: Workspace, batch: Batch): void {
    this.#open = { workspace, batch };
    this.#openedAtMs = this.#clock.monotonicMs();
    this.more();
  }

  /** The last of the batch: what waits goes in, unless the workspace has enough to do already. */
  close(): void {
    if (this.#unsettled < this.#window) this.#feed();
    this.reset();
  }

  /** Ends the batch as it is. */
  reset(): void {
    this.#cancelNext?.();
    this.#cancelNext = null;
    this.#open = null;
    this.#unsettled = 0;
  }

  /** Called whenever a request came or the workspace has caught up. */
  more(): void {
    if (!this.#open || this.#unsettled > 0 || this.#cancelNext) return;
    const waitMs = this.#fedAtMs + FEED_EVERY_MS - this.#clock.monotonicMs();
    if (waitMs <= 0) return this.#feed();
    this.#cancelNext = this.#clock.after(waitMs, () => {
      this.#cancelNext = null;
      if (this.#unsettled === 0) this.#feed();
    });
  }

  #feed(): void {
    if (!this.#open) return;
    const { workspace, batch } = this.#open;
    // What waits is answered `unavailable` at its deadline, what executes `uncertain`: while a PUT
    // hangs, no more is put into doubt.
    if (this.#clock.monotonicMs() - this.#openedAtMs > BATCH_EXECUTE_MS_MAX) return;
    const room = BATCH_REQUESTS_MAX - batch.size;
    const bytesRoom = BATCH_BYTES_MAX - batch.bytes;
    if (room <= 0 || (bytesRoom <= 0 && batch.size > 0)) return;
    const requests = this.#queue.take(Math.min(room, this.#window), bytesRoom);
    if (requests.length === 0) return;
    batch.add(requests);
    this.#unsettled += requests.length;
    const startedMs = this.#fedAtMs = this.#clock.monotonicMs();
    workspace.execute(requests);
    const settled = () => {
      if (this.#open?.batch !== batch) return;
      this.#learn(this.#unsettled, this.#clock.monotonicMs() - startedMs);
      this.#unsettled = 0;
      if (this.#queue.length > 0) this.more();
    };
    // A workspace that failed says so at the next take.
    workspace.settled().then(settled, () => {});
  }

  /** Grows while all that it allows is done in time, shrinks to what would have been. */
  #learn(requests: number, ms: number): void {
    if (ms > FEED_MS) this.#window = Math.max(1, Math.floor(requests * FEED_MS / ms));
    else if (requests >= this.#window) this.#window = Math.min(FEED_REQUESTS_MAX, this.#window * 2);
  }
}
