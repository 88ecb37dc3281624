/**
 * Two nodes that each believe the other gone would take a cluster from each other for ever, and every
 * claim stays in the bucket. So a node that was deposed soon after its own claim waits before the
 * next one, longer each time (PROTOCOL section 8).
 */

const SOON_MS = 60_000;
const WAIT_MS_MIN = 1_000;
const WAIT_MS_MAX = 60_000;

/** How long a node waits that led for `ledMs`, having waited `beforeMs` the last time. */
export function dampingMs(beforeMs: number, ledMs: number): number {
  if (ledMs >= SOON_MS) return 0;
  return Math.min(WAIT_MS_MAX, Math.max(WAIT_MS_MIN, beforeMs * 2));
}
