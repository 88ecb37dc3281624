/**
 * Notices that this process stood still: then its timers are late, what it believes of others is old,
 * and silence proves nothing (I11).
 */
import type { Clock } from "../base/clock.ts";

const LOOK_MS = 250;
/** A look that comes this much later than it was due. */
const STALL_MS = 500;

/** Calls `onStall` after each stall, until the returned function is called. */
export function watchStalls(clock: Clock, onStall: (ms: number) => void): () => void {
  let dueMs = clock.monotonicMs() + LOOK_MS;
  let dueWallMs = clock.nowMs() + LOOK_MS;
  let cancel = () => {};
  const look = () => {
    // The one clock stands still while a machine is suspended, the other steps.
    const lateMs = clock.monotonicMs() - dueMs;
    const lateWallMs = clock.nowMs() - dueWallMs;
    dueMs = clock.monotonicMs() + LOOK_MS;
    dueWallMs = clock.nowMs() + LOOK_MS;
    cancel = clock.after(LOOK_MS, look);
    if (Math.max(lateMs, lateWallMs) > STALL_MS) onStall(Math.max(lateMs, lateWallMs));
  };
  cancel = clock.after(LOOK_MS, look);
  return () => cancel();
}
