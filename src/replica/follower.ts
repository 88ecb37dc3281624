/**
 * The side of a replica that follows: reads on from the tip, and reads everything anew when the image
 * does not fit the chain (I9). Who follows and when is the replica's; it gives this its turns.
 */
import { isFailure } from "../base/failure.ts";
import type { Image } from "../database/image.ts";
import type { Durable } from "./durable.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Parts } from "./parts.ts";
import { Poll } from "./poll.ts";

export interface FollowerOptions {
  readonly database: string;
  readonly durable: Durable;
  readonly life: Lifecycle;
  /** One look, in its turn among the changes of role: true when it found something. */
  look(): Promise<boolean>;
  /** The image does not fit the chain; the lifecycle is `rebuilding` afterwards, or over. */
  onMismatch(cause: unknown): void;
}

export class Follower {
  readonly #options: FollowerOptions;
  readonly #poll: Poll;

  constructor(parts: Parts, options: FollowerOptions) {
    this.#options = options;
    this.#poll = new Poll(parts, options.database, () => options.look());
  }

  /** Looks for the next epoch from now on. */
  start(): void {
    this.#poll.start();
  }

  stop(): void {
    this.#poll.stop();
  }

  /** Applies what the store holds after the image's head: true when there was something. */
  async catchUp(image: Image): Promise<boolean> {
    const { durable, onMismatch } = this.#options;
    try {
      return await durable.catchUp(image);
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      onMismatch(error);
      await this.rebuild();
      return true;
    }
  }

  /** Reads the chain into a new image. */
  async rebuild(): Promise<void> {
    const { durable, life } = this.#options;
    try {
      await durable.rejoin();
      life.enter("rebuilt");
    } catch (error) {
      if (isFailure(error, "corrupt")) life.enter("damaged");
      throw error;
    }
  }
}
