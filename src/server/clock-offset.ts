/**
 * A wall clock that a test sets wrong: HEADGATE_TEST_CLOCK_OFFSET names a file that holds by how many
 * milliseconds, read again and again, so that the clock can step. A released binary is built with
 * HEADGATE_RELEASE set, and then has none.
 */
import { readFileSync } from "node:fs";
import { type Clock, shiftedClock } from "../base/clock.ts";

declare const HEADGATE_RELEASE: boolean | undefined;

const LOOK_EVERY_MS = 50;

export function clockOfTest(
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock,
): Clock {
  if (typeof HEADGATE_RELEASE !== "undefined" && HEADGATE_RELEASE) return clock;
  const path = environment["HEADGATE_TEST_CLOCK_OFFSET"];
  if (path === undefined) return clock;
  let offsetMs = 0;
  let lookedMs = -Infinity;
  return shiftedClock(clock, () => {
    if (clock.monotonicMs() - lookedMs >= LOOK_EVERY_MS) {
      lookedMs = clock.monotonicMs();
      offsetMs = Number(readFileSync(path, "utf8"));
    }
    return offsetMs;
  });
}
