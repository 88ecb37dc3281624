/**
 * Counts, times and prices what goes to a store. It sits under the retries, so that it sees every
 * attempt, as the bill does.
 */
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import type { Counter, Histogram, Metrics } from "../base/metrics.ts";
import { bodySize, type Store } from "./store.ts";

/**
 * Amazon S3 Standard, us-east-1, dollars a request (aws.amazon.com/s3/pricing, "Requests & data
 * retrievals"): PUT, COPY, POST and LIST $0.005 a thousand, GET and all other $0.0004 a thousand,
 * DELETE free.
 */
export const WRITE_USD = 0.005 / 1000;
export const READ_USD = 0.0004 / 1000;

const PRICE_USD = {
  get: READ_USD,
  get_range: READ_USD,
  head: READ_USD,
  create: WRITE_USD,
  replace: WRITE_USD,
  list: WRITE_USD,
  remove: 0,
} as const;

export type StoreOperation = keyof typeof PRICE_USD;
const OPERATIONS = Object.keys(PRICE_USD) as StoreOperation[];

const HOUR_MS = 3_600_000;
const MONTH_MS = 365.25 / 12 * 24 * HOUR_MS;
/** The price looks back this far, in slots that expire one by one. */
const PERIOD_MS = HOUR_MS;
const SLOTS = 12;
const PERIOD_MS_MIN = 5 * 60_000;
/** A start is busier than what follows: it is left out once there is a period of something else. */
const START_MS = 60_000;

export interface OperationCounts {
  readonly requests: number;
  /** Requests that ended in a failure, whatever its kind. */
  readonly failures: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export type StoreCounts = Readonly<Record<StoreOperation, OperationCounts>>;

export interface StorePrice {
  /** Requests at the pace of the period, at S3 Standard prices; storage and traffic not included. */
  readonly perMonthUsd: number;
  /** What this process has spent on requests since it started. */
  readonly totalUsd: number;
  readonly periodMs: number;
}

export interface MeteredStore extends Store {
  counts(): StoreCounts;
  price(): StorePrice;
  /** Time since the first failure after the last success; 0 when the last request succeeded. */
  failingMs(): number;
}

/**
 * The store with every request in `headgate_store_requests_total{operation,outcome}`,
 * `headgate_store_bytes_total{operation,direction}` and `headgate_store_seconds{operation}`.
 * Outcome: ok, missing (no such object), exists, changed (ETag), or the kind of the failure.
 */
export function metered(store: Store, metrics: Metrics, clock: Clock): MeteredStore {
  const meter = new Meter(metrics, clock);
  return {
    name: store.name,
    get: (key, options) =>
      meter.run("get", () => store.get(key, options), (found) => ({
        outcome: found === null ? "missing" : "ok",
        received: found?.bytes.length ?? 0,
      })),
    getRange: (key, range, options) =>
      meter.run("get_range", () => store.getRange(key, range, options), (found) => ({
        outcome: found === null ? "missing" : "ok",
        received: found?.length ?? 0,
      })),
    head: (key, options) =>
      meter.run("head", () => store.head(key, options), (found) => ({
        outcome: found === null ? "missing" : "ok",
      })),
    create: (key, body, options) => {
      meter.sent("create", bodySize(body));
      return meter.run("create", () => store.create(key, body, options), (outcome) => ({
        outcome: outcome === "created" ? "ok" : "exists",
      }));
    },
    replace: (key, bytes, etag, options) => {
      meter.sent("replace", bytes.length);
      return meter.run("replace", () => store.replace(key, bytes, etag, options), (found) => ({
        outcome: found === null ? "changed" : "ok",
      }));
    },
    list: (prefix, options) => meter.run("list", () => store.list(prefix, options), OK),
    remove: (keys, options) => meter.run("remove", () => store.remove(keys, options), OK),
    clockOffsetMs: () => store.clockOffsetMs(),
    close: () => store.close(),
    counts: () => meter.counts(),
    price: () => meter.price(),
    failingMs: () => meter.failingMs(),
  };
}

interface Result {
  readonly outcome: string;
  readonly received?: number;
}

const OK = (): Result => ({ outcome: "ok" });

class Meter {
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #counts: Record<StoreOperation, { -readonly [K in keyof OperationCounts]: number }>;
  readonly #seconds: Record<StoreOperation, Histogram>;
  readonly #outcomes = new Map<string, Counter>();
  /** Dollars by slot of time; those of the last period count. */
  readonly #spent: { slot: number; usd: number }[] = [];
  #startUsd = 0;
  #totalUsd = 0;
  #failingSinceMs: number | null = null;

  constructor(metrics: Metrics, clock: Clock) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
    this.#counts = perOperation(() => ({
      requests: 0,
      failures: 0,
      bytesSent: 0,
      bytesReceived: 0,
    }));
    const help = "Time of one request to the store, from call to answer.";
    this.#seconds = perOperation((operation) =>
      metrics.histogram("headgate_store_seconds", help, { operation })
    );
  }

  async run<T>(
    operation: StoreOperation,
    send: () => Promise<T>,
    judge: (result: T) => Result,
  ): Promise<T> {
    const startMs = this.#clock.monotonicMs();
    try {
      const result = await send();
      const { outcome, received } = judge(result);
      this.#failingSinceMs = null;
      if (received !== undefined) this.#received(operation, received);
      this.#count(operation, outcome, false);
      return result;
    } catch (error) {
      this.#failingSinceMs ??= startMs;
      this.#count(operation, error instanceof Failure ? error.kind : "bug", true);
      throw error;
    } finally {
      this.#seconds[operation].observe((this.#clock.monotonicMs() - startMs) / 1000);
    }
  }

  sent(operation: StoreOperation, bytes: number): void {
    this.#counts[operation].bytesSent += bytes;
    this.#bytes(operation, "sent").add(bytes);
  }

  counts(): StoreCounts {
    return perOperation((operation) => ({ ...this.#counts[operation] }));
  }

  price(): StorePrice {
    const nowMs = this.#clock.monotonicMs();
    const oldest = this.#slot(nowMs) - SLOTS + 1;
    const spent = this.#spent.filter(({ slot }) => slot >= oldest);
    const isStarting = nowMs - this.#startMs < START_MS + PERIOD_MS_MIN;
    const beganMs = this.#startMs + (isStarting ? 0 : START_MS);
    const sinceMs = Math.max(beganMs, oldest * PERIOD_MS / SLOTS);
    const periodMs = Math.max(PERIOD_MS_MIN, nowMs - sinceMs);
    const usd = spent.reduce((sum, { usd }) => sum + usd, isStarting ? this.#startUsd : 0);
    return { perMonthUsd: usd / periodMs * MONTH_MS, totalUsd: this.#totalUsd, periodMs };
  }

  failingMs(): number {
    return this.#failingSinceMs === null ? 0 : this.#clock.monotonicMs() - this.#failingSinceMs;
  }

  #received(operation: StoreOperation, bytes: number): void {
    this.#counts[operation].bytesReceived += bytes;
    this.#bytes(operation, "received").add(bytes);
  }

  #bytes(operation: StoreOperation, direction: string): Counter {
    const help = "Bytes of objects sent to and received from the store.";
    const labels = { operation, direction };
    return this.#metrics.counter("headgate_store_bytes_total", help, labels);
  }

  #count(operation: StoreOperation, outcome: string, failed: boolean): void {
    const counts = this.#counts[operation];
    counts.requests++;
    if (failed) counts.failures++;
    this.#outcome(operation, outcome).add();
    this.#spend(PRICE_USD[operation]);
  }

  #outcome(operation: StoreOperation, outcome: string): Counter {
    const key = `${operation} ${outcome}`;
    let counter = this.#outcomes.get(key);
    if (!counter) {
      const help = "Requests to the store, every attempt counted.";
      const labels = { operation, outcome };
      counter = this.#metrics.counter("headgate_store_requests_total", help, labels);
      this.#outcomes.set(key, counter);
    }
    return counter;
  }

  #spend(usd: number): void {
    this.#totalUsd += usd;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#startMs < START_MS) {
      this.#startUsd += usd;
      return;
    }
    const slot = this.#slot(nowMs);
    const last = this.#spent.at(-1);
    if (last?.slot === slot) last.usd += usd;
    else this.#spent.push({ slot, usd });
    if (this.#spent.length > SLOTS) this.#spent.shift();
  }

  #slot(nowMs: number): number {
    return Math.floor(nowMs / (PERIOD_MS / SLOTS));
  }
}

function perOperation<T>(make: (operation: StoreOperation) => T): Record<StoreOperation, T> {
  return Object.fromEntries(OPERATIONS.map((operation) => [operation, make(operation)])) as Record<
    StoreOperation,
    T
  >;
}
