/**
 * Requests for one table that wait to be stored. Bodies of one job are read while those of others are
 * on their way to the store; whatever came meanwhile goes into the next one, so that the busier a
 * table is the more it stores at once.
 *
 * Rows go into the catalog only while few bytes are under way. Beyond that they go into files, and a
 * file costs two requests to the store whatever is in it: so a third job at once has to be a large one.
 */
import {
  LAKE_JOB_BYTES_MAX,
  LAKE_JOB_BYTES_MIN,
  LAKE_JOB_REQUESTS_MAX,
  LAKE_JOBS_MAX,
  LAKE_SMALL_FILES_MAX,
  LOAD_INLINED_BYTES_MAX,
  LOADERS_MAX,
} from "../base/lake-limits.ts";
import type { WaitingRows } from "./waiting-rows.ts";

export interface JobTerms {
  /** Rows go into files however few they are, since much more is under way. */
  readonly isBulk: boolean;
  /** To be called when the bodies have been read: another job may have the loader. */
  readonly onLoaded: () => void;
}

/** Stores rows. Never rejects. */
export type RunJob = (requests: readonly WaitingRows[], terms: JobTerms) => Promise<void>;

export class Intake {
  readonly #run: RunJob;
  readonly #onIdle: () => void;
  readonly #requestsMax: number;
  #waiting: WaitingRows[] = [];
  #waitingBytes = 0;
  #jobs = 0;
  #loading = 0;
  #jobBytes = 0;

  /** `requestsMax`: of one job. */
  constructor(run: RunJob, onIdle: () => void, requestsMax = LAKE_JOB_REQUESTS_MAX) {
    this.#run = run;
    this.#onIdle = onIdle;
    this.#requestsMax = requestsMax;
  }

  add(waiting: WaitingRows): void {
    this.#waiting.push(waiting);
    this.#waitingBytes += waiting.request.body.length;
    this.#pump();
  }

  /** Those that were answered at their deadline hold no bodies any more. */
  forgetAnswered(): void {
    this.#waiting = this.#waiting.filter(({ isAnswered }) => !isAnswered);
    this.#waitingBytes = bytesOf(this.#waiting);
  }

  #pump(): void {
    while (this.#waiting.length > 0) {
      const isBulk = this.#waitingBytes + this.#jobBytes > LOAD_INLINED_BYTES_MAX;
      if (!this.#mayStart(isBulk)) return;
      const requests = this.#take();
      if (requests.length > 0) this.#start(requests, isBulk);
    }
  }

  #mayStart(isBulk: boolean): boolean {
    const isLarge = this.#waitingBytes >= LAKE_JOB_BYTES_MIN ||
      this.#waiting.length >= this.#requestsMax;
    if (isLarge) return this.#loading < LOADERS_MAX && this.#jobs < LAKE_JOBS_MAX;
    return this.#loading === 0 && this.#jobs < (isBulk ? LAKE_SMALL_FILES_MAX : LAKE_JOBS_MAX);
  }

  #start(requests: readonly WaitingRows[], isBulk: boolean): void {
    const bytes = bytesOf(requests);
    this.#jobs++;
    this.#jobBytes += bytes;
    this.#loading++;
    let isLoading = true;
    const onLoaded = (): void => {
      if (!isLoading) return;
      isLoading = false;
      this.#loading--;
      this.#pump();
    };
    void this.#run(requests, { isBulk, onLoaded }).finally(() => {
      this.#jobs--;
      this.#jobBytes -= bytes;
      onLoaded();
      this.#pump();
      if (this.#jobs === 0 && this.#waiting.length === 0) this.#onIdle();
    });
  }

  /** As many as make one job, without those that were answered at their deadline. */
  #take(): readonly WaitingRows[] {
    let bytes = 0;
    let count = 0;
    for (const { request } of this.#waiting) {
      const isFull = bytes + request.body.length > LAKE_JOB_BYTES_MAX ||
        count === this.#requestsMax;
      if (count > 0 && isFull) break;
      bytes += request.body.length;
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count).filter(({ isAnswered }) => !isAnswered);
  }
}

function bytesOf(requests: readonly WaitingRows[]): number {
  return requests.reduce((sum, { request }) => sum + request.body.length, 0);
}
