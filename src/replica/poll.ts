/** Looking for the next epoch again and again, less often while there is none. */
import { describe } from "../base/failure.ts";
import { POLL_MS_MAX, POLL_MS_MIN } from "../base/limits.ts";
import type { Parts } from "./parts.ts";

export class Poll {
  readonly #parts: Parts;
  readonly #database: string;
  /** True when it found something. */
  readonly #look: () => Promise<boolean>;
  #cancel: (() => void) | null = null;
  #run = 0;

  constructor(parts: Parts, database: string, look: () => Promise<boolean>) {
    this.#parts = parts;
    this.#database = database;
    this.#look = look;
  }

  start(): void {
    if (this.#cancel === null) this.#schedule(POLL_MS_MIN, ++this.#run);
  }

  stop(): void {
    this.#run++;
    this.#cancel?.();
    this.#cancel = null;
  }

  #schedule(waitMs: number, run: number): void {
    this.#cancel = this.#parts.clock.after(waitMs, () => void this.#once(waitMs, run));
  }

  async #once(waitMs: number, run: number): Promise<void> {
    let found = false;
    try {
      found = await this.#look();
    } catch (error) {
      this.#parts.log.warn("could not follow the chain", {
        database: this.#database,
        cause: describe(error),
      });
    }
    if (run !== this.#run) return;
    this.#schedule(found ? POLL_MS_MIN : Math.min(POLL_MS_MAX, waitMs * 2), run);
  }
}
