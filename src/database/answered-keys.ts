/**
 * Idempotency keys that a process gives its own requests. Whose answer has come will never be asked
 * for, so the next request takes its row away: the database has about as many rows of this process as
 * it has requests under way, and they lie side by side.
 */
import type { Random } from "../base/random.ts";

/** Rows that one request takes away: more than it adds. */
const FORGETS_MAX = 16;

export interface Key {
  readonly idempotencyKey: string;
  readonly forgets: readonly string[];
}

export class AnsweredKeys {
  readonly #process: string;
  #last = 0;
  #answered: string[] = [];

  constructor(random: Random) {
    this.#process = random.bytes(12).toHex();
  }

  next(): Key {
    const idempotencyKey = `${this.#process}-${String(++this.#last).padStart(12, "0")}`;
    return { idempotencyKey, forgets: this.#answered.splice(0, FORGETS_MAX) };
  }

  /** The request with this key is done: its row is there, and those it was to forget are not. */
  done({ idempotencyKey }: Key): void {
    this.#answered.push(idempotencyKey);
  }

  /** Nothing was done, or nobody knows. */
  undone({ forgets }: Key): void {
    this.#answered.unshift(...forgets);
  }
}

/** The same, for each database. */
export class KeysByDatabase {
  readonly #random: Random;
  readonly #keys = new Map<string, AnsweredKeys>();

  constructor(random: Random) {
    this.#random = random;
  }

  of(database: string): AnsweredKeys {
    const keys = this.#keys.get(database) ?? new AnsweredKeys(this.#random);
    this.#keys.set(database, keys);
    return keys;
  }
}
