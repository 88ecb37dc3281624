/**
 * What a read waits for before it reads: its database on this node, and an image that is as new as
 * its level asks for.
 */
import type { Clock } from "../base/clock.ts";
import { withDeadline } from "../base/deadline.ts";
import { isFailure } from "../base/failure.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { QueryRequest } from "../http/node.ts";
import { dropped } from "../replica/failures.ts";
import type { Replica } from "../replica/replica.ts";
import type { Catalog } from "./catalog.ts";
import type { Forwarding } from "./forwarding.ts";

export type Need = Pick<QueryRequest, "level" | "minEpoch" | "deadlineMs">;

export interface LevelsOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Asks the leader for what this node cannot answer. */
  readonly forwarding: Pick<Forwarding, "prove">;
}

/** How long a pushed epoch may take before the store is asked for it. */
const LOOK_MS = 100;

export class Levels {
  readonly #options: LevelsOptions;

  constructor(options: LevelsOptions) {
    this.#options = options;
  }

  async open(name: string, need: Need): Promise<Replica> {
    const { catalog, clock } = this.#options;
    if (!catalog.has(name) && !catalog.isLeading) await this.#learn(need);
    return catalog.peek(name) ??
      await withDeadline(clock, need.deadlineMs, catalog.wait(name), `open ${name}`);
  }

  /**
   * Reads when the image is new enough. A database that is dropped meanwhile is `missing`, however
   * far the drop has come.
   */
  async read<T>(replica: Replica, need: Need, read: () => Promise<T>): Promise<T> {
    try {
      if (!replica.dropped) {
        await this.#wait(replica, need);
        return await this.#readImage(replica, read);
      }
    } catch (error) {
      if (!replica.dropped) throw error;
    }
    throw dropped(replica.name);
  }

  /** A database that was created elsewhere a moment ago: the catalog as it was after this call. */
  async #learn({ level, minEpoch, deadlineMs }: Need): Promise<void> {
    const { catalog, forwarding } = this.#options;
    const { replica } = catalog.system;
    try {
      const epoch = await forwarding.prove(SYSTEM_DATABASE, deadlineMs, () => replica.prove());
      await this.#reached(replica, epoch, deadlineMs);
      await catalog.refresh();
    } catch (error) {
      // Only a read of what this node knows may rest on that.
      if (level === "linearizable" || minEpoch !== undefined) throw error;
    }
  }

  async #wait(replica: Replica, { level, minEpoch, deadlineMs }: Need): Promise<void> {
    if (level === "linearizable") {
      const what = `prove that ${replica.name} is current`;
      const proof = this.#prove(replica, deadlineMs);
      const tip = await withDeadline(this.#options.clock, deadlineMs, proof, what);
      await this.#reached(replica, tip, deadlineMs);
    } else if (minEpoch !== undefined) await this.#reached(replica, minEpoch, deadlineMs);
  }

  async #prove(replica: Replica, deadlineMs: number): Promise<number> {
    const atOwner = () =>
      this.#options.forwarding.prove(replica.name, deadlineMs, () => replica.prove());
    if (replica.state !== "owning") return await atOwner();
    return await replica.prove().catch((error) => {
      if (!isFailure(error, "elsewhere")) throw error;
      return atOwner();
    });
  }

  /** An epoch that does not come by itself soon may be in the store. */
  async #reached(replica: Replica, epoch: number, deadlineMs: number): Promise<void> {
    if (replica.image.head.epoch >= epoch) return;
    const look = () => {
      if (epoch > replica.tip) replica.lookNow();
    };
    const cancel = this.#options.clock.after(LOOK_MS, look);
    try {
      await replica.image.reached(epoch, deadlineMs);
    } finally {
      cancel();
    }
  }

  /** The image may be replaced between choosing it and reading it: then the new one is read. */
  async #readImage<T>(replica: Replica, read: () => Promise<T>): Promise<T> {
    const image = replica.image;
    try {
      return await read();
    } catch (error) {
      if (replica.image === image) throw error;
      return await read();
    }
  }
}
