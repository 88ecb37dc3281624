/**
 * The side of a replica that follows: reads on from the tip, and reads everything anew when the image
 * does not fit the chain (I9). Who follows and when is the replica's; it gives this its turns.
 */
import { isFailure } from "../base/failure.ts";
import type { Image } from "../database/image.ts";
import type { Chain } from "./chain.ts";
import type { Durable } from "./durable.ts";
import type { Parts } from "./parts.ts";
import { Poll } from "./poll.ts";
import { Pushed } from "./pushed.ts";
import type { Rebuild } from "./rebuild.ts";

export interface FollowerOptions {
  readonly chain: Chain;
  readonly durable: Durable;
  readonly rebuild: Rebuild;
  /** One look, in its turn among the changes of role: true when it found something. */
  look(): Promise<boolean>;
  /** The image does not fit the chain; the lifecycle is `rebuilding` afterwards, or over. */
  onMismatch(cause: unknown): void;
}

export class Follower {
  readonly #options: FollowerOptions;
  readonly #poll: Poll;
  readonly #pushed: Pushed;
  #isPushed = false;

  constructor(parts: Parts, options: FollowerOptions) {
    this.#options = options;
    this.#pushed = new Pushed(parts, options.chain);
    this.#poll = new Poll(parts, options.chain.name, () => options.look());
  }

  /** Looks for the next epoch from now on. */
  start(): void {
    this.#poll.start();
  }

  stop(): void {
    this.#poll.stop();
  }

  /**
   * Whether the owner pushes; else the store is asked again and again. What it has pushed already is
   * durable and goes in: its last word may be that it resigns.
   */
  set isPushed(isPushed: boolean) {
    if (isPushed && !this.#isPushed) this.#options.durable.fed();
    this.#isPushed = isPushed;
    this.#poll.rest(isPushed);
  }

  /** Looks into the store as soon as it can. */
  lookNow(): void {
    this.#poll.now();
  }

  /** Keeps a pushed epoch for `applyPushed`. */
  push(epoch: number, bytes: Uint8Array | null): void {
    this.#options.durable.heard(epoch);
    // Where the image is to be read anew, all of it is read.
    if (!this.#options.rebuild.isDue) this.#pushed.add(epoch, bytes);
  }

  /** Applies what was pushed; reads from the store what lies between. */
  async applyPushed(image: Image): Promise<void> {
    const { durable } = this.#options;
    try {
      if (await durable.applyPushed(image, this.#pushed)) return;
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      return await this.#mismatch(error);
    }
    try {
      await this.catchUp(image);
    } catch (error) {
      // Nobody else asks the store while the owner pushes.
      this.lookNow();
      throw error;
    }
  }

  /** Applies what the store holds after the image's head: true when there was something. */
  async catchUp(image: Image): Promise<boolean> {
    try {
      const isMore = await this.#options.durable.catchUp(image);
      this.#pushed.forget(image.head.epoch);
      return isMore;
    } catch (error) {
      if (!isFailure(error, "corrupt")) throw error;
      await this.#mismatch(error);
      return true;
    }
  }

  async #mismatch(cause: unknown): Promise<void> {
    const { onMismatch, rebuild } = this.#options;
    onMismatch(cause);
    await rebuild.run();
  }
}
