/** One loader process, as the node sees it: one order at a time, ended when it takes too much. */
import type { Clock } from "../../base/clock.ts";
import { Failure } from "../../base/failure.ts";
import { LOADER_BYTES_MAX, LOADER_LOOK_MS } from "../../base/lake-limits.ts";
import type { Child, Children } from "../../database/child.ts";
import { toFailure } from "../../database/sql-error.ts";
import type { FromLoader, ToLoader } from "./message.ts";

const ACTION = "Cannot load rows";

/** An order whose number is not given yet. */
export type Order = readonly [ToLoader[0], ToLoader[2]];

interface Running {
  readonly number: number;
  readonly resolve: (answer: FromLoader) => void;
  readonly reject: (failure: Failure) => void;
  readonly cancel: () => void;
}

export class LoaderProcess {
  readonly #child: Child;
  readonly #clock: Clock;
  #running: Running | null = null;
  #numbers = 0;
  /** Dead, or soon: no further order for it. */
  isKilled = false;

  constructor(children: Children, clock: Clock, onExit: (process: LoaderProcess) => void) {
    this.#clock = clock;
    this.#child = children.start("loader", {
      onMessage: (message) => this.#received(message as FromLoader),
      onExit: () => {
        this.isKilled = true;
        this.#end((running) => running.reject(hasEnded()));
        onExit(this);
      },
    });
  }

  get exited(): Promise<void> {
    return this.#child.exited;
  }

  residentBytes(): number {
    return this.#child.residentBytes();
  }

  /** Rejects with what the loader says, or `unavailable` at the deadline, which ends the process. */
  run([kind, order]: Order, deadlineMs: number): Promise<FromLoader> {
    return new Promise((resolve, reject) => {
      const number = ++this.#numbers;
      const waitMs = Math.max(0, deadlineMs - this.#clock.monotonicMs());
      const cancelDeadline = this.#clock.after(waitMs, () => this.#giveUp(pastDeadline()));
      const cancelLook = this.#watchMemory(number);
      const cancel = () => {
        cancelDeadline();
        cancelLook();
      };
      this.#running = { number, resolve, reject, cancel };
      this.#child.send([kind, number, order]);
    });
  }

  kill(): void {
    this.isKilled = true;
    this.#child.kill();
  }

  #watchMemory(number: number): () => void {
    let cancel = () => {};
    const look = () => {
      if (this.#running?.number !== number) return;
      if (this.#child.residentBytes() > LOADER_BYTES_MAX) return this.#giveUp(tooMuchMemory());
      cancel = this.#clock.after(LOADER_LOOK_MS, look);
    };
    cancel = this.#clock.after(LOADER_LOOK_MS, look);
    return () => cancel();
  }

  #giveUp(failure: Failure): void {
    this.kill();
    this.#end((running) => running.reject(failure));
  }

  #received(message: FromLoader): void {
    if (message[1] !== this.#running?.number) return;
    this.#end((running) => {
      if (message[0] === "failure") running.reject(toFailure(message[2]));
      else running.resolve(message);
    });
  }

  #end(answer: (running: Running) => void): void {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    running.cancel();
    answer(running);
  }
}

export function pastDeadline(): Failure {
  return new Failure("unavailable", `${ACTION}: ended at the deadline`, {
    details: { reason: "deadline" },
  });
}

function tooMuchMemory(): Failure {
  return new Failure("too_large", `${ACTION}: it took more than ${LOADER_BYTES_MAX} bytes`, {
    details: { reason: "memory", memory_bytes_max: LOADER_BYTES_MAX },
  });
}

function hasEnded(): Failure {
  return new Failure("unavailable", `${ACTION}: the process that did it has ended`, {
    details: { reason: "process" },
  });
}
