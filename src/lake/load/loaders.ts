/**
 * The processes that read bodies of requests and write Parquet at this node. Rows never pass through
 * the node's own process, which has others to answer meanwhile.
 */
import type { Clock } from "../../base/clock.ts";
import { Failure } from "../../base/failure.ts";
import { LOADERS_MAX, LOADING_QUIET_MS, LOADS_WAITING_MAX } from "../../base/lake-limits.ts";
import { CHILD_IDLE_MS } from "../../base/limits.ts";
import type { Children } from "../../database/child.ts";
import type { ColumnWish } from "../column.ts";
import { LoaderProcess, type Order, pastDeadline } from "./loader-process.ts";
import type {
  BodyPlace,
  FromLoader,
  Loaded,
  LoadOrder,
  Merged,
  MergeOrder,
  Packed,
  PackOrder,
} from "./message.ts";

interface Waiting {
  readonly order: Order;
  readonly deadlineMs: number;
  readonly resolve: (answer: Promise<FromLoader>) => void;
  readonly reject: (failure: Failure) => void;
}

export class Loaders {
  readonly #children: Children;
  readonly #clock: Clock;
  readonly #processes = new Set<LoaderProcess>();
  /** Processes without an order, and what cancels their end. */
  readonly #idle = new Map<LoaderProcess, () => void>();
  readonly #waiting: Waiting[] = [];
  /** When (monotonic ms) rows of a client were loaded last. */
  #loadedMs = -Infinity;
  #isClosed = false;

  constructor(children: Children, clock: Clock) {
    this.#children = children;
    this.#clock = clock;
  }

  /** Rows of clients come in: whatever can wait had better do so. */
  get isBusy(): boolean {
    return this.#clock.monotonicMs() - this.#loadedMs < LOADING_QUIET_MS;
  }

  /** Rejects with `busy`, `unavailable` (deadline, no room, process) or `too_large` (memory). */
  async load(order: LoadOrder, deadlineMs: number): Promise<Loaded> {
    this.#loadedMs = this.#clock.monotonicMs();
    const answer = await this.#run(["load", order], deadlineMs);
    if (answer[0] === "loaded") return answer[2];
    throw unexpected(answer);
  }

  /** Rejects with `invalid` too: there are no columns to be seen. */
  async infer(body: BodyPlace, deadlineMs: number): Promise<readonly ColumnWish[]> {
    const answer = await this.#run(["infer", body], deadlineMs);
    if (answer[0] === "inferred") return answer[2];
    throw unexpected(answer);
  }

  async pack(order: PackOrder, deadlineMs: number): Promise<Packed> {
    const answer = await this.#run(["pack", order], deadlineMs);
    if (answer[0] === "packed") return answer[2];
    throw unexpected(answer);
  }

  /** Rejects with `invalid` and `corrupt` too, for files that cannot be merged. */
  async merge(order: MergeOrder, deadlineMs: number): Promise<Merged> {
    const answer = await this.#run(["merge", order], deadlineMs);
    if (answer[0] === "merged") return answer[2];
    throw unexpected(answer);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(isClosing());
    for (const process of this.#processes) process.kill();
    await Promise.all([...this.#processes].map((process) => process.exited));
  }

  #run(order: Order, deadlineMs: number): Promise<FromLoader> {
    if (this.#isClosed) return Promise.reject(isClosing());
    const process = this.#take();
    if (process) return this.#runIn(process, order, deadlineMs);
    if (this.#waiting.length >= LOADS_WAITING_MAX) {
      return Promise.reject(
        new Failure("busy", `Cannot load rows: ${this.#waiting.length} others wait`, {
          retryAfterMs: 200,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(
        Math.max(0, deadlineMs - this.#clock.monotonicMs()),
        () => {
          this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
          reject(pastDeadline());
        },
      );
      const waiting: Waiting = {
        order,
        deadlineMs,
        resolve: (answer) => {
          cancel();
          resolve(answer);
        },
        reject: (failure) => {
          cancel();
          reject(failure);
        },
      };
      this.#waiting.push(waiting);
    });
  }

  #take(): LoaderProcess | null {
    for (const [process, cancel] of this.#idle) {
      cancel();
      this.#idle.delete(process);
      return process;
    }
    return this.#processes.size < LOADERS_MAX ? this.#start() : null;
  }

  #start(): LoaderProcess {
    const process: LoaderProcess = new LoaderProcess(this.#children, this.#clock, () => {
      this.#processes.delete(process);
      this.#idle.get(process)?.();
      this.#idle.delete(process);
      this.#next();
    });
    this.#processes.add(process);
    return process;
  }

  async #runIn(process: LoaderProcess, order: Order, deadlineMs: number): Promise<FromLoader> {
    try {
      return await process.run(order, deadlineMs);
    } finally {
      this.#free(process);
    }
  }

  #free(process: LoaderProcess): void {
    if (process.isKilled || this.#isClosed) return;
    this.#idle.set(process, this.#clock.after(CHILD_IDLE_MS, () => process.kill()));
    this.#next();
  }

  #next(): void {
    if (this.#isClosed || this.#waiting.length === 0) return;
    const process = this.#take();
    if (!process) return;
    const next = this.#waiting.shift();
    if (next) next.resolve(this.#runIn(process, next.order, next.deadlineMs));
  }
}

function isClosing(): Failure {
  return new Failure("unavailable", "Cannot load rows: the node is closing");
}

function unexpected([kind]: FromLoader): Failure {
  return new Failure("corrupt", `Cannot load rows: the loader answered ${kind}`);
}
