/**
 * Carries out what `election/standby.ts` decides for a node that does not lead: calls the leader, asks
 * the others, looks at the store, claims.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import { rankOf } from "../election/rank.ts";
import {
  beginStandby,
  type Standby,
  type StandbyAction,
  type StandbyEvent,
  type StandbyFacts,
  standbyStep,
  standbyWakesAtMs,
} from "../election/standby.ts";
import type { Claim } from "../replica/claims.ts";
import type { Replica } from "../replica/replica.ts";
import type { Store } from "../store/store.ts";
import { readLeaderFile } from "./cluster-files.ts";
import type { Links } from "./links.ts";

export type Taken = "won" | "claim" | "data";

export interface StandingByOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly node: string;
  readonly eligible: boolean;
  readonly staleMs: number;
  readonly system: Replica;
  readonly links: Links;
  /** No claim before (monotonic ms). */
  quietUntilMs(): number;
  /** The leader is heard, and what it pushes is all there is; or it is not heard any more. */
  onHeard(isHeard: boolean): void;
  /** Claims over that claim; says to what it was lost. Rejects when it could not be tried. */
  take(reason: string, over: number): Promise<Taken>;
}

/** A node without a link for longer than this sends clients to the leader. */
const APART_MS = 3_000;

export class StandingBy {
  readonly #options: StandingByOptions;
  #state: Standby;
  #open = true;
  #cancelTick: (() => void) | null = null;
  readonly #settled = Promise.withResolvers<void>();
  /** The claim that all this is about; what was begun about an earlier one counts no more. */
  #about: number;
  /** When it was last without a link and had not given up on one. */
  #apartSinceMs: number;

  constructor(options: StandingByOptions) {
    this.#options = options;
    this.#about = options.system.ownership?.claim.epoch ?? 0;
    this.#apartSinceMs = options.clock.monotonicMs();
    const { state } = beginStandby(options.clock.monotonicMs(), this.#facts());
    this.#state = state;
    this.#arm();
  }

  /** This node's place among those that would claim now. */
  get rank(): number {
    return this.#facts().rank;
  }

  get state(): Standby["kind"] {
    return this.#state.kind;
  }

  /** Nobody leads, as far as this node knows. */
  get isElecting(): boolean {
    return ["asking", "candidate", "claiming"].includes(this.#state.kind);
  }

  /** Whether a link may come soon: a leader that is lost for longer is out of this node's reach. */
  get isSeeking(): boolean {
    const { clock } = this.#options;
    const isApart = this.#state.kind === "apart";
    return this.isElecting || (isApart && clock.monotonicMs() - this.#apartSinceMs < APART_MS);
  }

  /** Resolves when the first call had an outcome. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  on(event: StandbyEvent): void {
    if (!this.#open) return;
    const { clock, links } = this.#options;
    const before = this.#state.kind;
    const inputMs = links.lastInputMs();
    if (inputMs !== null && event.kind !== "input") this.#step({ kind: "input", atMs: inputMs });
    const actions = this.#step(
      this.#isUnheard(event) ? { kind: "unlinked", by: "silence" } : event,
    );
    if (this.#state.kind === "apart" && before !== "apart") {
      this.#apartSinceMs = clock.monotonicMs();
    }
    if (this.#state.kind !== before) {
      this.#options.onHeard(this.#state.kind === "linked");
      this.#options.log.info("standing by", {
        event: event.kind,
        from: before,
        to: this.#state.kind,
        ms: Math.round(clock.monotonicMs()),
      });
    }
    for (const action of actions) this.#do(action);
    if (event.kind !== "tick") this.#settled.resolve();
    this.#arm();
  }

  /** A state that waits for a link to speak is none to stay in without one. */
  #isUnheard({ kind }: StandbyEvent): boolean {
    const waits = this.#state.kind === "linked" || this.#state.kind === "watching";
    return kind === "tick" && waits && this.#options.links.linkedTo() === null;
  }

  /** A newer claim or a resignation was applied. */
  onOwnership(claim: Claim): void {
    if (!this.#open) return;
    if (claim.epoch !== this.#about) {
      this.#about = claim.epoch;
      const { links } = this.#options;
      if (links.linkedTo() !== claim.epoch) {
        links.drop("another node leads");
        this.on({ kind: "claimed" });
      }
    }
    if (claim.successor !== null) this.on({ kind: "resigned" });
  }

  end(): void {
    this.#open = false;
    this.#cancelTick?.();
    this.#settled.resolve();
  }

  #facts(): StandbyFacts {
    const { node, eligible, staleMs, system, links, quietUntilMs } = this.#options;
    const claim = system.ownership?.claim;
    const rank = rankOf(node, links.contenders(), {
      successor: claim?.successor ?? null,
      last: claim?.node ?? null,
    });
    return { eligible, rank, quietUntilMs: quietUntilMs(), staleMs };
  }

  #step(event: StandbyEvent): readonly StandbyAction[] {
    const nowMs = this.#options.clock.monotonicMs();
    const { state, actions } = standbyStep(this.#state, event, nowMs, this.#facts());
    this.#state = state;
    return actions;
  }

  #arm(): void {
    this.#cancelTick?.();
    this.#cancelTick = null;
    const wakesMs = standbyWakesAtMs(this.#state);
    if (!this.#open || wakesMs === Infinity) return;
    const { clock } = this.#options;
    const waitMs = Math.max(0, wakesMs - clock.monotonicMs());
    this.#cancelTick = clock.after(waitMs, () => this.on({ kind: "tick" }));
  }

  #do(action: StandbyAction): void {
    const work = {
      dial: () => this.#dial(),
      ask: () => this.#ask(),
      look: () => this.#look(),
      claim: () => this.#claim(action.kind === "claim" ? action.reason : ""),
    }[action.kind];
    const about = this.#about;
    work().then((event) => {
      // What is heard of an earlier owner says nothing about this one.
      if (event && (about === this.#about || action.kind === "claim")) this.on(event);
    }, (error) => {
      this.#options.log.warn(`could not ${action.kind}`, { cause: describe(error) });
      if (action.kind === "dial") this.on({ kind: "unanswered" });
      if (action.kind === "ask") this.on({ kind: "asked", isSeen: false });
      if (action.kind === "claim") this.on({ kind: "failed" });
    });
  }

  async #dial(): Promise<StandbyEvent> {
    const { links, system, node } = this.#options;
    const claim = system.ownership?.claim;
    // A claim of this node's own by which it does not lead: nobody does.
    if (!claim || claim.node === node) return { kind: "refused" };
    const outcome = await links.call(claim);
    return { kind: outcome };
  }

  async #ask(): Promise<StandbyEvent> {
    const claim = this.#options.system.ownership?.claim;
    return { kind: "asked", isSeen: claim !== undefined && await this.#options.links.ask(claim) };
  }

  /** The heartbeat, and whether the chain goes on; what it holds is applied. */
  async #look(): Promise<StandbyEvent> {
    const { store, system } = this.#options;
    const [leader] = await Promise.all([readLeaderFile(store), system.follow()]);
    const seen = `${leader?.nonce ?? ""} ${system.tip}`;
    return { kind: "store", seen, intervalMs: leader?.heartbeat_ms ?? null };
  }

  async #claim(reason: string): Promise<StandbyEvent | null> {
    const outcome = await this.#options.take(reason, this.#about);
    this.#about = this.#options.system.ownership?.claim.epoch ?? this.#about;
    return outcome === "won" ? null : { kind: "lost", to: outcome };
  }
}
