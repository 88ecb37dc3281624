/**
 * A node that retires leaves the roster: no link, no file in `cluster_state/brokers/`, no part in an
 * election. Its process stays, answers health, and follows `system` through the store like any node
 * without a link; there it finds its own row changed when an operator wants it back.
 */
import type { Clock } from "../base/clock.ts";
import { describe, type Failure, isFailure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { BrokerState } from "../members/roster.ts";

export interface RetirementOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** What the row of this node says, as of its image of `system`. */
  desired(): Promise<BrokerState | undefined>;
  /** The node is to enter that state, which is another one than `retiring`. */
  onRecalled(state: BrokerState): void;
  /** The node's own in `cluster_state/brokers/`. */
  readonly file: { write(): Promise<void>; remove(): Promise<void> };
  /** Ends and takes up its part in the cluster. */
  readonly membership: { retire(): void; join(): Promise<void> };
  /** Another process has taken this node's id meanwhile: this one must end. */
  onReplaced(failure: Failure): void;
}

/** How often the row is read in the image; the image itself follows at the pace of a poll. */
const LOOK_MS = 500;
const RETRY_MS = 1_000;

export class Retirement {
  readonly #options: RetirementOptions;
  #isAway = false;
  #open = true;
  #cancelLook: (() => void) | null = null;

  constructor(options: RetirementOptions) {
    this.#options = options;
  }

  get isAway(): boolean {
    return this.#isAway;
  }

  /** For a process that finds its node retired: it never had a link. */
  begin(): void {
    this.#isAway = true;
    this.#arm();
  }

  async leave(): Promise<void> {
    const { membership, file, log } = this.#options;
    this.begin();
    membership.retire();
    await file.remove();
    log.info("this node has left the roster; it waits to be set active or stopped");
  }

  /** Takes its place again, as soon as the store lets it. */
  async end(): Promise<void> {
    const { clock, log, file, membership, onReplaced } = this.#options;
    this.#cancel();
    this.#isAway = false;
    while (this.#open) {
      try {
        await file.write();
        return await membership.join();
      } catch (error) {
        if (isFailure(error, "conflict")) return onReplaced(error);
        log.warn("could not come back to the roster", { cause: describe(error) });
        await clock.sleep(RETRY_MS);
      }
    }
  }

  close(): void {
    this.#open = false;
    this.#cancel();
  }

  #cancel(): void {
    this.#cancelLook?.();
    this.#cancelLook = null;
  }

  #arm(): void {
    this.#cancel();
    if (!this.#open) return;
    this.#cancelLook = this.#options.clock.after(LOOK_MS, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { desired, onRecalled, log } = this.#options;
    try {
      const state = await desired();
      if (this.#cancelLook === null) return;
      if (state !== undefined && state !== "retiring") return onRecalled(state);
    } catch (error) {
      log.warn("could not read what this node is wanted for", { cause: describe(error) });
    }
    this.#arm();
  }
}
