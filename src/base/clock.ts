/**
 * Time as an argument. The simulation passes its own clock; outside `base` and `server` nobody
 * reads the machine's.
 */
export interface Clock {
  /** Wall time in ms since 1970. Never decides anything about safety (I11). */
  nowMs(): number;
  /** Milliseconds since an arbitrary moment; never steps back. For durations and deadlines. */
  monotonicMs(): number;
  /** Resolves after `ms`. Rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Resolves after everything else that is ready has had a turn of the event loop. */
  turn(): Promise<void>;
  /** Calls `callback` after `ms`, unless the returned function is called first. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** The same time with another date: what is counted in durations does not notice. */
export function shiftedClock(clock: Clock, offsetMs: () => number): Clock {
  return { ...clock, nowMs: () => clock.nowMs() + offsetMs() };
}
