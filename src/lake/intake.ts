/**
 * Requests for one table that wait to be stored. A few jobs run at the same time; whatever came
 * meanwhile goes into the next one, so that the busier a table is the more it stores at once.
 */
import { LAKE_JOB_BYTES_MAX, LAKE_JOB_REQUESTS_MAX, LAKE_JOBS_MAX } from "../base/lake-limits.ts";
import type { WaitingRows } from "./waiting-rows.ts";

export class Intake {
  readonly #run: (requests: readonly WaitingRows[]) => Promise<void>;
  readonly #onIdle: () => void;
  readonly #requestsMax: number;
  #waiting: WaitingRows[] = [];
  #jobs = 0;

  /** `requestsMax`: of one job. */
  constructor(
    run: (requests: readonly WaitingRows[]) => Promise<void>,
    onIdle: () => void,
    requestsMax = LAKE_JOB_REQUESTS_MAX,
  ) {
    this.#run = run;
    this.#onIdle = onIdle;
    this.#requestsMax = requestsMax;
  }

  add(waiting: WaitingRows): void {
    this.#waiting.push(waiting);
    this.#pump();
  }

  /** Those that were answered at their deadline hold no bodies any more. */
  forgetAnswered(): void {
    this.#waiting = this.#waiting.filter(({ isAnswered }) => !isAnswered);
  }

  #pump(): void {
    while (this.#jobs < LAKE_JOBS_MAX && this.#waiting.length > 0) {
      const requests = this.#take();
      if (requests.length === 0) continue;
      this.#jobs++;
      void this.#run(requests).finally(() => {
        this.#jobs--;
        this.#pump();
        if (this.#jobs === 0 && this.#waiting.length === 0) this.#onIdle();
      });
    }
  }

  /** As many as make one job, without those that were answered at their deadline. */
  #take(): readonly WaitingRows[] {
    let bytes = 0;
    let count = 0;
    for (const { request } of this.#waiting) {
      bytes += request.body.length;
      if (count > 0 && (bytes > LAKE_JOB_BYTES_MAX || count === this.#requestsMax)) break;
      count++;
    }
    return this.#waiting.splice(0, count).filter(({ isAnswered }) => !isAnswered);
  }
}
