/**
 * A store that is further away, for benchmarks: every request waits a fixed time before it goes
 * out. All wait equally long, so they leave in the order they came and one timer serves them all.
 */
import type { Clock } from "../base/clock.ts";
import type { Store } from "./store.ts";

export function delayed(store: Store, latencyMs: number, clock: Clock): Store {
  const line = new Line(latencyMs, clock);
  const later = async <T>(send: () => Promise<T>): Promise<T> => {
    await line.wait();
    return await send();
  };
  return {
    name: store.name,
    get: (key, options) => later(() => store.get(key, options)),
    getRange: (key, range, options) => later(() => store.getRange(key, range, options)),
    head: (key, options) => later(() => store.head(key, options)),
    create: (key, body, options) => later(() => store.create(key, body, options)),
    replace: (key, bytes, etag, options) => later(() => store.replace(key, bytes, etag, options)),
    list: (prefix, options) => later(() => store.list(prefix, options)),
    remove: (keys, options) => later(() => store.remove(keys, options)),
    clockOffsetMs: () => store.clockOffsetMs(),
    close: () => store.close(),
  };
}

/** Requests that wait, the first due first. */
class Line {
  readonly #latencyMs: number;
  readonly #clock: Clock;
  #waiting: { readonly dueMs: number; readonly go: () => void }[] = [];
  #armed = false;

  constructor(latencyMs: number, clock: Clock) {
    this.#latencyMs = latencyMs;
    this.#clock = clock;
  }

  wait(): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push({ dueMs: this.#clock.monotonicMs() + this.#latencyMs, go });
      if (!this.#armed) this.#arm(this.#latencyMs);
    });
  }

  #arm(ms: number): void {
    this.#armed = true;
    this.#clock.after(ms, () => this.#release());
  }

  #release(): void {
    this.#armed = false;
    const nowMs = this.#clock.monotonicMs();
    const later = this.#waiting.findIndex(({ dueMs }) => dueMs > nowMs);
    const due = this.#waiting.splice(0, later < 0 ? this.#waiting.length : later);
    const next = this.#waiting[0];
    if (next) this.#arm(next.dueMs - nowMs);
    for (const { go } of due) go();
  }
}
