/** Looking for the next epoch again and again, less often while there is none. */
import { describe } from "../base/failure.ts";
import { POLL_MS_MAX, POLL_MS_MIN } from "../base/limits.ts";
import type { Parts } from "./parts.ts";

export class Poll {
  readonly #parts: Parts;
  readonly #database: string;
  /** True when it found something. */
  readonly #look: () => Promise<boolean>;
  /** Nothing has to be looked for while the owner pushes: one look that succeeded is enough. */
  #isResting = false;
  #cancel: (() => void) | null = null;
  #run = 0;
  /** Started, and resting: the next look is when somebody asks for it. */
  #isAsleep = false;
  #isLooking = false;
  /** Started while it looked: that look may have begun before what it was started for. */
  #isStartedAgain = false;

  constructor(parts: Parts, database: string, look: () => Promise<boolean>) {
    this.#parts = parts;
    this.#database = database;
    this.#look = look;
  }

  start(): void {
    this.#isStartedAgain = this.#isLooking;
    if (this.#cancel !== null && !this.#isAsleep) return;
    this.#isAsleep = false;
    this.#schedule(this.#isResting ? 0 : POLL_MS_MIN, ++this.#run);
  }

  /** `isPushed`: the owner pushes from now on. What came before that is looked for at once. */
  rest(isPushed: boolean): void {
    if (isPushed === this.#isResting) return;
    this.#isResting = isPushed;
    if (this.#cancel === null && !this.#isAsleep) return;
    this.stop();
    this.#schedule(isPushed ? 0 : POLL_MS_MIN, ++this.#run);
  }

  /** Looks as soon as it can, also while it rests. */
  now(): void {
    if (this.#cancel === null && !this.#isAsleep) return;
    this.stop();
    this.#schedule(0, ++this.#run);
  }

  stop(): void {
    this.#isAsleep = false;
    this.#run++;
    this.#cancel?.();
    this.#cancel = null;
  }

  #schedule(waitMs: number, run: number): void {
    this.#cancel = this.#parts.clock.after(waitMs, () => void this.#once(waitMs, run));
  }

  async #once(waitMs: number, run: number): Promise<void> {
    let found = false;
    let failed = false;
    this.#isLooking = true;
    this.#isStartedAgain = false;
    try {
      found = await this.#look();
    } catch (error) {
      failed = true;
      this.#parts.log.warn("could not follow the chain", {
        database: this.#database,
        cause: describe(error),
      });
    }
    if (run !== this.#run) return;
    this.#isLooking = false;
    this.#isAsleep = this.#isResting && !failed && !this.#isStartedAgain;
    if (this.#isAsleep) return;
    const nextMs = Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, waitMs * 2));
    this.#schedule(found ? POLL_MS_MIN : nextMs, run);
  }
}
