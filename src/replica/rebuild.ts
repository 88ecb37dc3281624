/**
 * An image that did not fit the chain is read anew from the store. What is found damaged there as
 * well serves nobody, and is looked at again and again: an operator may put the right bytes back.
 */
import { describe, type Failure, isFailure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Durable } from "./durable.ts";
import { unreadable } from "./failures.ts";
import type { Lifecycle } from "./lifecycle.ts";

export class Rebuild {
  readonly #log: Log;
  readonly #database: string;
  readonly #life: Lifecycle;
  readonly #durable: Durable;
  /** What is wrong with the chain, while it is. */
  #damage: Failure | null = null;

  constructor(log: Log, database: string, life: Lifecycle, durable: Durable) {
    this.#log = log;
    this.#database = database;
    this.#life = life;
    this.#durable = durable;
  }

  /** True while the replica waits for this. */
  get isDue(): boolean {
    return this.#life.is("rebuilding", "corrupt");
  }

  /** Rejects with what is wrong when the chain cannot be read. */
  async run(): Promise<void> {
    try {
      await this.#durable.rejoin();
    } catch (error) {
      if (isFailure(error, "corrupt")) this.#damaged(error);
      throw error;
    }
    this.#life.enter("rebuilt");
    // Closed meanwhile: nobody else would end the new image.
    if (this.#life.is("closed")) return await this.#durable.replace(null);
    if (this.#damage) this.#log.info("the chain is whole again", { database: this.#database });
    this.#damage = null;
  }

  /** Why there is nothing to read: with the object at fault, where there is one. */
  unreadable(): Failure {
    return unreadable(this.#database, this.#life.state, this.#damage);
  }

  #damaged(failure: Failure): void {
    this.#life.enter("damaged");
    if (!this.#damage) {
      this.#log.error("the chain is damaged; the database is not served until it is whole", {
        database: this.#database,
        cause: describe(failure),
      });
    }
    this.#damage = failure;
  }
}
