/**
 * Carries out what `election/lead.ts` decides for the leader: the heartbeat in the store, and making
 * way where nobody reaches this node. What follows a claim is begun here, and tried until it is done.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import { beginLead, LATE_MS, type Lead, leadStep } from "../election/lead.ts";
import type { LeaderFile, LeaderHeartbeat } from "./cluster-files.ts";

export interface LeadingOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly heartbeat: LeaderHeartbeat;
  readonly heartbeatMs: number;
  readonly mayResign: boolean;
  readonly isSuccessor: boolean;
  facts(): Omit<LeaderFile, "format" | "nonce" | "at" | "heartbeat_ms">;
  links(): { readonly links: number; isLate(ms: number): boolean };
  /** What a new leader does first; called again until it succeeds. */
  begin(): Promise<void>;
  /** Finds a newer claim if there is one: then this node is deposed. */
  askChain(): Promise<unknown>;
  /** Nobody has a link: resigns if there are others who live. */
  resignIfOthers(): Promise<void>;
}

const TICK_MS = 500;

export class Leading {
  readonly #options: LeadingOptions;
  #lead: Lead;
  #open = true;
  #ended = 0;
  #cancelTick: (() => void) | null = null;
  #isBeating = false;
  #isBegun = false;
  readonly #begun = Promise.withResolvers<void>();
  #isBeginning = false;

  constructor(options: LeadingOptions) {
    this.#options = options;
    this.#lead = beginLead(options.clock.monotonicMs(), options);
    this.#tick();
  }

  /** Whether this node may resign for want of links when it leads again. */
  get mayResign(): boolean {
    return this.#lead.mayResign;
  }

  /** What follows a claim is done. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  /** Resolves when what follows a claim is done, or this node leads no more. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  onLinks(change: "added" | "ended"): void {
    if (change === "ended") this.#ended++;
    this.#tick();
  }

  end(): void {
    this.#open = false;
    this.#cancelTick?.();
    this.#begun.resolve();
  }

  #tick(): void {
    if (!this.#open) return;
    const { clock, heartbeatMs, links } = this.#options;
    this.#cancelTick?.();
    this.#cancelTick = clock.after(TICK_MS, () => this.#tick());
    if (!this.#isBegun && !this.#isBeginning) void this.#begin();
    const { links: count, isLate } = links();
    const facts = { heartbeatMs, links: count, isLate: isLate(LATE_MS), ended: this.#ended };
    this.#ended = 0;
    const { lead, actions } = leadStep(this.#lead, facts, clock.monotonicMs());
    this.#lead = lead;
    for (const action of actions) {
      if (action.kind === "beat") void this.#beat(action.intervalMs);
      else void this.#try("resign", () => this.#options.resignIfOthers());
    }
  }

  async #begin(): Promise<void> {
    this.#isBeginning = true;
    this.#isBegun = await this.#try("take up the lead", () => this.#options.begin());
    this.#isBeginning = false;
    if (this.#isBegun) this.#begun.resolve();
  }

  /** One at a time: a store that is slow gets no queue of heartbeats. */
  async #beat(heartbeat_ms: number): Promise<void> {
    if (this.#isBeating) return;
    this.#isBeating = true;
    const { heartbeat, facts, askChain, log } = this.#options;
    await this.#try("write the heartbeat", async () => {
      const written = await heartbeat.beat({ ...facts(), heartbeat_ms });
      if (written || !this.#open) return;
      log.warn("another node wrote leader.json; asking the chain who leads");
      await askChain();
    });
    this.#isBeating = false;
  }

  async #try(what: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (this.#open) this.#options.log.warn(`could not ${what}`, { cause: describe(error) });
      return false;
    }
  }
}
