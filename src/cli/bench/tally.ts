/** What is counted while a load runs, and what is left of it for the report. */
import { Histogram } from "./histogram.ts";

/** Bodies of failed answers that are shown. */
const SAMPLES_MAX = 5;
const SAMPLE_BYTES_MAX = 500;
/** Kinds of failures told apart; more are counted as "other". */
const KINDS_MAX = 50;

export interface LoadResult {
  /** Length of the measured part, and the good answers that belong to it. */
  readonly durationMs: number;
  readonly answers: number;
  readonly ratePerS: number;
  readonly latency: Histogram;
  /** Good answers in each second of the measured part. */
  readonly perSecond: readonly number[];
  /** Whole run, warm-up included: answers with 2xx, and failures by kind. */
  readonly acknowledged: number;
  readonly failures: ReadonlyMap<string, number>;
  /** Failed requests of which it is not known whether they were done. */
  readonly uncertain: number;
  readonly samples: readonly string[];
  /** Open loop: the longest that a request waited for a free stream after its moment. */
  readonly lateMsMax: number;
  /** CPU of this process during the measured part. */
  readonly cpuMs: number;
}

export class Tally {
  readonly latency = new Histogram();
  readonly perSecond: number[] = [];
  readonly failures = new Map<string, number>();
  readonly samples: string[] = [];
  acknowledged = 0;
  uncertain = 0;
  lateMsMax = 0;

  /** A 2xx answer that belongs to the measured part; `secondsIn` counts from its start. */
  measured(latencyMs: number, secondsIn: number): void {
    this.latency.record(latencyMs);
    const second = Math.floor(secondsIn);
    this.perSecond[second] = (this.perSecond[second] ?? 0) + 1;
  }

  /** An answer other than 2xx, told apart by its status and the kind in its body. */
  refused(status: number, body: Uint8Array | null): void {
    const text = new TextDecoder().decode((body ?? new Uint8Array(0)).subarray(0, 64 * 1024));
    const kind = kindOf(text);
    this.#count(kind === null ? `${status}` : `${status} ${kind}`);
    if (status === 504 || (status >= 500 && kind === null)) this.uncertain++;
    if (this.samples.length < SAMPLES_MAX) {
      this.samples.push(`${status} ${text.slice(0, SAMPLE_BYTES_MAX)}`.trim());
    }
  }

  /** A request that got no answer. */
  lost(reason: string, processed: boolean): void {
    this.#count(reason);
    if (processed) this.uncertain++;
  }

  /** `count` requests that failed alike. */
  #count(kind: string, count = 1): void {
    const known = this.failures.has(kind) || this.failures.size < KINDS_MAX;
    const name = known ? kind : "other";
    this.failures.set(name, (this.failures.get(name) ?? 0) + count);
  }

  unsent(count: number): void {
    if (count > 0) this.#count("never sent: no stream was free", count);
  }

  result(durationMs: number, cpuMs: number): LoadResult {
    const { latency, perSecond, failures, samples, acknowledged, uncertain, lateMsMax } = this;
    const whole = Math.floor(durationMs / 1000);
    return {
      durationMs,
      answers: latency.count,
      ratePerS: latency.count / (durationMs / 1000),
      latency,
      perSecond: Array.from({ length: whole }, (_, second) => perSecond[second] ?? 0),
      acknowledged,
      failures,
      uncertain,
      samples,
      lateMsMax,
      cpuMs,
    };
  }
}

function kindOf(text: string): string | null {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body !== "object" || body === null || !("error" in body)) return null;
    const { error } = body;
    if (typeof error !== "object" || error === null || !("kind" in error)) return null;
    return typeof error.kind === "string" ? error.kind : null;
  } catch {
    return null;
  }
}
