/** One attempt at a request to S3: its deadline, its cancelling, and what its error means. */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { STORE_ATTEMPT_MS, STORE_BYTES_PER_MS_MIN } from "../base/limits.ts";
import { s3Failure } from "./s3-failure.ts";
import type { RequestOptions } from "./store.ts";

export interface AttemptFacts {
  /** Completes "Cannot …" in the failure's message. */
  readonly action: string;
  /** True if an unknown outcome matters: the request is not one that can simply be repeated. */
  readonly writes: boolean;
  /** Bytes that will travel, as far as they are known before. */
  readonly bytes: number;
}

/** `extend` restarts the deadline once it is known how many bytes are still to come. */
export type Send<T> = (signal: AbortSignal, extend: (bytes: number) => void) => Promise<T>;

export class Attempts {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws a `Failure` for whatever `send` throws. */
  async run<T>(
    facts: AttemptFacts,
    options: RequestOptions | undefined,
    send: Send<T>,
  ): Promise<T> {
    const { action, writes } = facts;
    if (options?.signal?.aborted) {
      const message = `Cannot ${action}: it was cancelled before it began`;
      throw new Failure("unavailable", message, { cause: options.signal.reason });
    }
    const controller = new AbortController();
    let ended: "deadline" | "cancelled" | null = null;
    const end = (why: "deadline" | "cancelled") => {
      ended ??= why;
      controller.abort();
    };
    const onCancel = () => end("cancelled");
    const fixedMs = options?.timeoutMs;
    let deadlineMs = fixedMs ?? deadlineFor(facts.bytes);
    let stopTimer = this.#clock.after(deadlineMs, () => end("deadline"));
    const extend = (bytes: number) => {
      if (fixedMs !== undefined) return;
      stopTimer();
      deadlineMs = deadlineFor(bytes);
      stopTimer = this.#clock.after(deadlineMs, () => end("deadline"));
    };
    options?.signal?.addEventListener("abort", onCancel, { once: true });
    try {
      return await send(controller.signal, extend);
    } catch (error) {
      throw s3Failure(error, { action, writes, ended, deadlineMs });
    } finally {
      stopTimer();
      options?.signal?.removeEventListener("abort", onCancel);
    }
  }
}

function deadlineFor(bytes: number): number {
  return STORE_ATTEMPT_MS + Math.ceil(bytes / STORE_BYTES_PER_MS_MIN);
}
