/**
 * Whether this node leads: stands by until the rules of `election/` say claim, leads until it is
 * deposed or steps down, and stands by again, in one process. The store decides.
 */
import type { Clock } from "../base/clock.ts";
import { describe, Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import { dampingMs } from "../election/damping.ts";
import { MAKE_WAY_MS } from "../election/lead.ts";
import type { HandOver } from "../http/node.ts";
import type { ClaimWish, Ownership } from "../replica/claims.ts";
import type { Replica } from "../replica/replica.ts";
import type { Store } from "../store/store.ts";
import type { LeaderHeartbeat } from "./cluster-files.ts";
import { Leading, type LeadingOptions } from "./leading.ts";
import { checkReplaced, wasOwner } from "./last-owner.ts";
import type { Links } from "./links.ts";
import { watchStalls } from "./stall.ts";
import { StandingBy, type StandingByOptions, type Taken } from "./standing-by.ts";
import { chooseSuccessor, nextLeader, type OwnershipWaiters, successors } from "./succession.ts";

export interface LeadershipOptions
  extends Pick<LeadingOptions, "links" | "resignIfOthers">, Pick<StandingByOptions, "onHeard"> {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly node: { readonly id: string; readonly address: string };
  readonly peerAddress: string;
  readonly eligible: boolean;
  readonly heartbeat: LeaderHeartbeat;
  readonly heartbeatMs: number;
  readonly staleMs: number;
  readonly network: Links;
  /** How `system` is to be claimed over that claim. */
  wish(over: number | undefined): ClaimWish;
  /** It is about to resign in favour of that node. */
  onStepDown(successor: string): void;
  /** The claim is won: links may be taken from now on. */
  onWon(claim: number): void;
  /**
   * What a new leader does first. `isSuccessor` when another node led before: its chains are to be
   * claimed, or it may go on with them.
   */
  onLead(isSuccessor: boolean): Promise<void>;
  /** This node leads no more. */
  onDeposed(): void;
  /** Gives up all chains but `system` in order, so that a successor finds nothing in flight. */
  release(): Promise<void>;
  /** Another process runs with this node's id: this one must end. */
  onReplaced(failure: Failure): void;
}

export class Leadership {
  readonly #options: LeadershipOptions;
  #system: Replica | null = null;
  #standingBy: StandingBy | null = null;
  #leading: Leading | null = null;
  #claim: number | null = null;
  #open = true;
  #lastClaimAtMs = -Infinity;
  #dampingMs = 0;
  #quietUntilMs = -Infinity;
  #mayResign = true;
  #cancelStalls = () => {};
  readonly #waiting: OwnershipWaiters = new Set();

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  /** Epoch of this node's claim in `system` while it leads. */
  get claim(): number | null {
    return this.#claim;
  }

  /** True while nobody leads as far as this node knows, or a new leader is not ready. */
  get isElecting(): boolean {
    return this.#leading ? !this.#leading.isBegun : this.#standingBy?.isElecting ?? true;
  }

  /** Whether a leader may be found soon: then it is worth waiting for one. */
  get isSeeking(): boolean {
    return this.#standingBy?.isSeeking ?? true;
  }

  /** A leader is linked, but silent or without its store: nobody knows whether it goes on. */
  get isLeaderInDoubt(): boolean {
    return this.#standingBy?.state === "watching";
  }

  /** Resolves when this node leads, or its first call to the leader had an outcome. */
  async start(system: Replica): Promise<void> {
    this.#open = true;
    this.#system = system;
    this.#cancelStalls();
    this.#cancelStalls = watchStalls(this.#options.clock, (ms) => this.#stalled(ms));
    // A chain that this process just created is owned from its first epoch on.
    if (system.state === "owning" || (await wasOwner(system, this.#options))) {
      const over = system.ownership?.claim.epoch;
      if (await this.#take("it led last", over) === "won") return await this.#leading?.begun;
    }
    await this.#standBy(system).settled;
  }

  /** `system` was lost; also by one that is about to resign and claims nothing any more. */
  deposed(): void {
    if (!this.#leading) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#dampingMs = dampingMs(this.#dampingMs, nowMs - this.#lastClaimAtMs);
    this.#quietUntilMs = nowMs + this.#dampingMs;
    this.#options.log.warn("this node no longer leads", { quiet_ms: this.#dampingMs });
    this.#endLead();
    if (this.#system && this.#open) this.#standBy(this.#system);
  }

  /** A claim or a resignation of `system` that another node, or an earlier life, made was applied. */
  onOwnership(ownership: Ownership): void {
    const { claim } = ownership;
    const { node } = this.#options;
    for (const heard of this.#waiting) heard(ownership);
    const isOther = claim.epoch !== this.#claim && this.#lastClaimAtMs > 0;
    if (claim.node === node.id && isOther) void checkReplaced(claim.address, this.#options);
    this.#standingBy?.onOwnership(claim);
  }

  get standby(): StandingBy | null {
    return this.#standingBy;
  }

  /** The links of the leader have changed. */
  onLinks(change: "added" | "ended"): void {
    this.#leading?.onLinks(change);
  }

  /**
   * Hands the cluster over; resolves when the successor leads. Rejects with `elsewhere` on a node
   * that does not lead, `conflict` when nobody, or not the preferred one, can succeed.
   */
  async stepDown(preferred?: string): Promise<HandOver> {
    const { clock, node } = this.#options;
    const startedMs = clock.monotonicMs();
    const successor = this.#successor(preferred);
    this.#options.log.info("stepping down", { successor });
    this.#options.onStepDown(successor);
    const next = nextLeader(clock, node.id, this.#waiting);
    next.catch(() => {});
    await this.#resign(successor);
    const to = await next;
    return { from: node.id, to, ms: Math.round(clock.monotonicMs() - startedMs) };
  }

  /** Makes way without naming anybody: whoever can reach the others claims. */
  async resignToAnybody(): Promise<void> {
    if (this.#claim === null) return;
    this.#options.log.warn("nobody has a link to this leader; it resigns");
    await this.#resign("");
  }

  /** True when another node could lead at once. */
  get hasSuccessor(): boolean {
    const { network, node } = this.#options;
    return this.#claim !== null && successors(node.id, network.contenders()).length > 0;
  }

  close(): void {
    this.#open = false;
    this.#cancelStalls();
    this.#standingBy?.end();
    this.#standingBy = null;
    this.#leading?.end();
  }

  #successor(preferred: string | undefined): string {
    const { network, node } = this.#options;
    if (this.#claim !== null) return chooseSuccessor(node.id, network.contenders(), preferred);
    const owner = this.#system?.ownership?.claim;
    throw new Failure("elsewhere", `This node does not lead; ${owner?.node ?? "another"} does`, {
      ...(owner && { leader: owner.address }),
    });
  }

  async #resign(successor: string): Promise<void> {
    const system = this.#system;
    const { clock, node, release } = this.#options;
    if (!system || this.#claim === null) return;
    // From here on nothing is claimed; writes that come wait for the next leader.
    const claim = this.#claim;
    this.#claim = null;
    const leading = this.#leading;
    try {
      await release();
      // Deposed meanwhile, it may even lead again: that is not to be resigned.
      if (this.#leading !== leading) return;
      await system.resign(successor, new Failure("elsewhere", `${node.id} has stepped down`));
    } catch (error) {
      if (this.#leading === leading && system.state === "owning") this.#claim = claim;
      throw error;
    }
    if (this.#leading !== leading) return;
    this.#endLead();
    // Those it makes way for are in no roster of its own: only time lets them go first.
    if (successor === "") {
      this.#mayResign = false;
      this.#quietUntilMs = clock.monotonicMs() + MAKE_WAY_MS;
    }
    if (this.#open) this.#standBy(system).on({ kind: "resigned" });
  }

  #standBy(system: Replica): StandingBy {
    const { clock, log, store, node, eligible, staleMs, network, onHeard } = this.#options;
    this.#standingBy?.end();
    return this.#standingBy = new StandingBy({
      clock,
      log,
      store,
      node: node.id,
      eligible,
      staleMs,
      system,
      links: network,
      quietUntilMs: () => this.#quietUntilMs,
      onHeard,
      take: (reason, over) => this.#take(reason, over),
    });
  }

  /** Claims `system` over that claim; says to what it was lost. */
  async #take(reason: string, over: number | undefined): Promise<Taken> {
    const { log, clock, node } = this.#options;
    const system = this.#system;
    if (!system) return "data";
    const before = system.ownership?.claim;
    const won = await system.claim(null, this.#options.wish(over));
    // It may have been lost again by the time that this is heard of.
    if (!won || system.state !== "owning" || !this.#open) {
      log.info("the cluster was not claimed", { owner: system.ownership?.claim.node ?? null });
      return system.ownership?.claim.epoch === over ? "data" : "claim";
    }
    this.#standingBy?.end();
    this.#standingBy = null;
    this.#lastClaimAtMs = clock.monotonicMs();
    const claim = this.#claim = system.ownership?.claim.epoch ?? system.tip;
    log.info("this node leads", { reason, term: system.ownership?.term ?? 0, epoch: claim });
    this.#options.onWon(claim);
    this.#leading = this.#leads(system, before !== undefined && before.node !== node.id);
    return "won";
  }

  #leads(system: Replica, isSuccessor: boolean): Leading {
    const { clock, log, heartbeat, heartbeatMs, node, peerAddress, links } = this.#options;
    return new Leading({
      clock,
      log,
      heartbeat,
      heartbeatMs,
      mayResign: this.#mayResign,
      isSuccessor,
      links,
      facts: () => ({
        node: node.id,
        address: node.address,
        peer_address: peerAddress,
        term: system.ownership?.term ?? 0,
        epoch: system.tip,
      }),
      begin: () => this.#options.onLead(isSuccessor),
      askChain: () => this.#askChain(system),
      resignIfOthers: () => this.#options.resignIfOthers(),
    });
  }

  #endLead(): void {
    this.#claim = null;
    this.#mayResign = this.#leading?.mayResign ?? this.#mayResign;
    this.#leading?.end();
    this.#leading = null;
    this.#options.onDeposed();
  }

  /** Whoever stood still may have a successor, or may think others silent that are not. */
  #stalled(ms: number): void {
    this.#options.log.warn("this process stood still", { ms: Math.round(ms) });
    this.#standingBy?.on({ kind: "stalled" });
    if (this.#claim !== null && this.#system) void this.#askChain(this.#system);
  }

  /** Finds a newer claim if there is one, and then this node is deposed. */
  async #askChain(system: Replica): Promise<void> {
    await system.prove().catch((error) =>
      this.#options.log.warn("cannot tell whether this node still leads, or it does not", {
        cause: describe(error),
      })
    );
  }
}
