/**
 * Watching the store for progress: the nonce in `leader.json` and the tip of the chain of `system`.
 * Only a look that succeeded may say that nothing moved, since the watcher itself may have slept.
 */

export interface Watch {
  /** When something last moved, or was seen for the first time (monotonic ms). */
  readonly movedAtMs: number;
  /** What was there then; null before the first look. */
  readonly seen: string | null;
  /** Standing still for so long means that nobody moves it. */
  readonly waitMs: number;
  readonly lookAtMs: number;
  readonly everyMs: number;
}

const LOOK_MS_MIN = 500;
const LOOK_MS_MAX = 5_000;
/** Beyond two of the intervals that a heartbeat states. */
const SLACK_MS = 1_000;

/** A watch that has seen nothing yet. */
export function watchFrom(nowMs: number, waitMs: number): Watch {
  return { movedAtMs: nowMs, seen: null, waitMs, lookAtMs: nowMs, everyMs: rhythm(waitMs) };
}

/** A look that succeeded. What moved lives, and states how long to wait for it from then on. */
export function sawStore(
  watch: Watch,
  look: { readonly seen: string; readonly intervalMs: number | null; readonly nowMs: number },
): Watch {
  const { seen, intervalMs, nowMs } = look;
  if (watch.seen === seen) return watch;
  const isFirst = watch.seen === null;
  const stated = intervalMs === null ? watch.waitMs : 2 * intervalMs + SLACK_MS;
  // The first look is no progress: whoever had a link until now does not wait for the idle rhythm.
  const waitMs = isFirst ? Math.min(watch.waitMs, stated) : stated;
  return {
    movedAtMs: nowMs,
    seen,
    waitMs,
    lookAtMs: nowMs + rhythm(waitMs),
    everyMs: rhythm(waitMs),
  };
}

/** True right after a look at which nothing had moved for long enough. */
export function noProgress(watch: Watch, nowMs: number): boolean {
  return watch.seen !== null && nowMs - watch.movedAtMs >= watch.waitMs;
}

/** Often enough that waiting for the last look adds little. */
function rhythm(waitMs: number): number {
  return Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, waitMs / 6));
}
