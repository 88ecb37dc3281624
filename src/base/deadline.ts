/** Waiting with an end. */
import type { Clock } from "./clock.ts";
import { Failure } from "./failure.ts";

/** Rejects with `unavailable` at the deadline (monotonic ms); the work itself goes on. */
export async function withDeadline<T>(
  clock: Clock,
  deadlineMs: number,
  work: Promise<T>,
  what: string,
): Promise<T> {
  const end = Promise.withResolvers<never>();
  const cancel = clock.after(Math.max(0, deadlineMs - clock.monotonicMs()), () =>
    end.reject(
      new Failure("unavailable", `Cannot ${what} before the deadline; nothing was done`, {
        details: { reason: "deadline" },
      }),
    ));
  try {
    return await Promise.race([work, end.promise]);
  } finally {
    cancel();
  }
}
