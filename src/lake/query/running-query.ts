/**
 * One query that has a child: pieces of its result between the child and their reader, and what may
 * end it early. Its client hears of an early end at once; the child is interrupted, killed if that
 * does not help, and given back when it is free.
 */
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { Failure } from "../../base/failure.ts";
import {
  LAKE_QUERY_CHILD_BYTES,
  LAKE_QUERY_INTERRUPT_MS,
  LAKE_QUERY_LOOK_MS,
} from "../../base/lake-limits.ts";
import { nodeCloses, processEnded, tooMuchMemory } from "../../database/read-failures.ts";
import type { FromQueryChild, QueryOrder } from "./message.ts";
import { clientGone, failureLine, pastDeadline } from "./query-failure.ts";
import type { ProcessUser, QueryProcess } from "./query-process.ts";

export interface RunningOptions {
  readonly clock: Clock;
  /** Monotonic; `sinceMs` is when the client asked. */
  readonly deadlineMs: number;
  readonly sinceMs: number;
  /** The child takes the next query, or is gone. */
  readonly onFree: () => void;
}

type State =
  /** The child works for a client that wants the result. */
  | { readonly kind: "running" }
  /** The client has been told why there is no more; the child has not stopped yet. */
  | { readonly kind: "stopping"; readonly failure: Failure }
  | { readonly kind: "ended"; readonly failure: Failure | null };

export class RunningQuery implements ProcessUser {
  /** Resolves when the first piece is there, or the whole result; rejects when there is none. */
  readonly started: Promise<void>;
  readonly #process: QueryProcess;
  readonly #options: RunningOptions;
  readonly #order: QueryOrder;
  readonly #number: number;
  readonly #start = Promise.withResolvers<void>();
  readonly #timers = new Set<() => void>();
  #state: State = { kind: "running" };
  #pieces: Uint8Array[] = [];
  #wake: (() => void) | null = null;
  #looks = 0;

  constructor(process: QueryProcess, order: QueryOrder, options: RunningOptions) {
    this.#process = process;
    this.#order = order;
    this.#options = options;
    this.started = this.#start.promise;
    // Whoever waits hears of it; nobody need wait.
    this.started.catch(() => {});
    this.#number = process.use(this);
    process.send(["run", this.#number, order]);
    const { clock, deadlineMs, sinceMs } = options;
    this.#after(
      Math.max(0, deadlineMs - clock.monotonicMs()),
      () => this.stop(pastDeadline(deadlineMs, sinceMs)),
    );
    this.#lookLater();
  }

  received(message: FromQueryChild): void {
    switch (message[0]) {
      case "text":
        return this.#piece(new TextEncoder().encode(message[2]));
      case "bytes":
        return this.#piece(Uint8Array.fromBase64(message[2]));
      case "done":
        return this.#end(null);
      case "failure": {
        const { kind, message: text, details } = message[2];
        return this.#end(new Failure(kind, text, details === undefined ? {} : { details }));
      }
      case "tables":
        assert(false, "a query is not answered with names of tables");
    }
  }

  exited(): void {
    this.#end(processEnded());
  }

  /** Ends the query early, for its client now. */
  stop(failure: Failure): void {
    if (this.#state.kind !== "running") return;
    this.#state = { kind: "stopping", failure };
    this.#pieces = [];
    this.#start.reject(failure);
    this.#wake?.();
    this.#process.send(["interrupt", this.#number]);
    this.#after(LAKE_QUERY_INTERRUPT_MS, () => this.#process.kill());
  }

  close(): void {
    this.stop(nodeCloses());
  }

  /** Once. Who returns from it early, even before its first piece, wants no more of the query. */
  body(): AsyncIterable<Uint8Array> {
    const pieces = this.#read();
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => pieces.next(),
        return: () => {
          this.stop(clientGone());
          return pieces.return();
        },
      }),
    };
  }

  async *#read(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#process.send(["taken"]);
        yield piece;
        continue;
      }
      if (this.#state.kind !== "running") break;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const { failure } = this.#state;
    if (failure === null) return;
    if (this.#order.format !== "ndjson") throw failure;
    yield new TextEncoder().encode(failureLine(failure));
  }

  #piece(bytes: Uint8Array): void {
    if (this.#state.kind !== "running") return;
    this.#pieces.push(bytes);
    this.#start.resolve();
    this.#wake?.();
  }

  #end(failure: Failure | null): void {
    if (this.#state.kind === "ended") return;
    const told = this.#state.kind === "stopping" ? this.#state.failure : failure;
    this.#state = { kind: "ended", failure: told };
    for (const cancel of this.#timers) cancel();
    if (told === null) this.#start.resolve();
    else this.#start.reject(told);
    this.#wake?.();
    this.#process.leave();
    this.#options.onFree();
  }

  #lookLater(): void {
    this.#after(LAKE_QUERY_LOOK_MS, () => {
      // The first look may still see what the query before left behind.
      const bytesMax = this.#order.memoryBytesMax;
      const isTooMuch = this.#process.residentBytes() > bytesMax + LAKE_QUERY_CHILD_BYTES;
      if (++this.#looks < 2 || !isTooMuch) return this.#lookLater();
      this.stop(tooMuchMemory(bytesMax));
      this.#process.kill();
    });
  }

  #after(ms: number, callback: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(cancel);
      callback();
    });
    this.#timers.add(cancel);
  }
}
