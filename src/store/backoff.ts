/** How long to wait before asking a store again: exponential, with full jitter. */
import { isFailure } from "../base/failure.ts";
import { STORE_BACKOFF_MS_MAX, STORE_BACKOFF_MS_MIN } from "../base/limits.ts";
import type { Random } from "../base/random.ts";

/**
 * Milliseconds to wait after the failure of attempt `attempt` (from 1). Anything from 0 to a bound
 * that doubles, so that many clients do not come back together; not less than the store asked for.
 */
export function backoffMs(attempt: number, random: Random, failure?: unknown): number {
  const doublings = Math.min(attempt - 1, 30);
  const bound = Math.min(STORE_BACKOFF_MS_MAX, STORE_BACKOFF_MS_MIN * 2 ** doublings);
  const asked = isFailure(failure) ? failure.retryAfterMs ?? 0 : 0;
  return Math.min(asked, STORE_BACKOFF_MS_MAX) + random.below(bound + 1);
}
