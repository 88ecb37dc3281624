/** Waiting for what must become so, without a fixed sleep. */

const LOOK_EVERY_MS = 50;

export interface EventuallyOptions {
  readonly withinMs?: number;
  /** Says what there is instead, for the message of the failure. */
  readonly instead?: () => unknown;
}

/** Resolves with the first value of `look` that is there and not false. */
export async function eventually<T>(
  what: string,
  look: () => Found<T> | Promise<Found<T>>,
  { withinMs = 30_000, instead = () => "" }: EventuallyOptions = {},
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  while (true) {
    const found = await look();
    if (found !== false && found !== null && found !== undefined) return found;
    if (performance.now() > deadlineMs) {
      throw new Error(`not within ${withinMs} ms: ${what}. ${await instead()}`);
    }
    await Bun.sleep(LOOK_EVERY_MS);
  }
}

type Found<T> = T | false | null | undefined;
