/**
 * From the queue into the open batch: a few ms of work ahead of the workspace, so that it never
 * waits for the next request and a take never waits long for what was given.
 */
import type { Clock } from "../base/clock.ts";
import { BATCH_BYTES_MAX, BATCH_REQUESTS_MAX, FEED_MS, FEED_REQUESTS_MAX } from "../base/limits.ts";
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
  /** How long a request takes, as a moving average. */
  #requestMs = 0.02;

  constructor(clock: Clock, queue: WriteQueue) {
    this.#clock = clock;
    this.#queue = queue;
  }

  get isOpen(): boolean {
    return this.#open !== null;
  }

  open(workspace: Workspace, batch: Batch): void {
    this.#open = { workspace, batch };
    this.more();
  }

  close(): void {
    this.#open = null;
  }

  /** The workspace is a new one: what the old one was given is answered or gone. */
  reset(): void {
    this.#open = null;
    this.#unsettled = 0;
  }

  /** Called whenever a request came or the workspace has caught up. */
  more(): void {
    if (!this.#open || this.#unsettled > 0) return;
    const { workspace, batch } = this.#open;
    const room = BATCH_REQUESTS_MAX - batch.size;
    const bytesRoom = BATCH_BYTES_MAX - batch.bytes;
    if (room <= 0 || (bytesRoom <= 0 && batch.size > 0)) return;
    const window = Math.max(1, Math.min(FEED_REQUESTS_MAX, Math.floor(FEED_MS / this.#requestMs)));
    const requests = this.#queue.take(Math.min(room, window), bytesRoom);
    if (requests.length === 0) return;
    batch.add(requests);
    this.#unsettled = requests.length;
    const startedMs = this.#clock.monotonicMs();
    workspace.execute(requests.map(({ id, request }) => ({ id, request })));
    const settled = () => {
      const ms = (this.#clock.monotonicMs() - startedMs) / requests.length;
      this.#requestMs = this.#requestMs * 0.7 + ms * 0.3;
      this.#unsettled = 0;
      this.more();
    };
    // A workspace that failed says so at the next take.
    workspace.settled().then(settled, () => this.#unsettled = 0);
  }
}
