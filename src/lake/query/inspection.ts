/** One look at a statement that has a child: which tables it names. */
import type { Clock } from "../../base/clock.ts";
import { Failure } from "../../base/failure.ts";
import { nodeCloses, processEnded } from "../../database/read-failures.ts";
import type { TableName } from "./lake-query.ts";
import type { FromQueryChild } from "./message.ts";
import { clientGone, pastDeadline } from "./query-failure.ts";
import type { ProcessUser, QueryProcess } from "./query-process.ts";

export interface InspectionOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly sinceMs: number;
  readonly signal?: AbortSignal;
  /** The child takes the next query, or is gone. */
  readonly onFree: () => void;
}

export class Inspection implements ProcessUser {
  readonly tables: Promise<readonly TableName[] | null>;
  readonly #process: QueryProcess;
  readonly #answer = Promise.withResolvers<readonly TableName[] | null>();
  readonly #free: () => void;

  constructor(process: QueryProcess, sql: string, options: InspectionOptions) {
    const { clock, deadlineMs, sinceMs, signal, onFree } = options;
    this.#process = process;
    this.tables = this.#answer.promise;
    this.tables.catch(() => {});
    // Parsing cannot be interrupted, and it takes long for nobody who means well.
    const cancel = clock.after(
      Math.max(0, deadlineMs - clock.monotonicMs()),
      () => this.#kill(pastDeadline(deadlineMs, sinceMs)),
    );
    const onAbort = () => this.#kill(clientGone());
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#free = () => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
      process.leave();
      onFree();
    };
    process.send(["inspect", process.use(this), sql]);
    if (signal?.aborted) onAbort();
  }

  received(message: FromQueryChild): void {
    if (message[0] === "tables") this.#answer.resolve(message[2]);
    if (message[0] === "failure") {
      const { kind, message: text, details } = message[2];
      this.#answer.reject(new Failure(kind, text, details === undefined ? {} : { details }));
    }
    this.#free();
  }

  exited(): void {
    this.#answer.reject(processEnded());
    this.#free();
  }

  close(): void {
    this.#kill(nodeCloses());
  }

  #kill(failure: Failure): void {
    this.#answer.reject(failure);
    this.#process.kill();
  }
}
