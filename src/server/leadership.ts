/**
 * Whether this node leads: stands by until the rules of `election/` say claim, leads until it is
 * deposed or steps down, and stands by again, in one process. The store decides.
 */
import { describe, Failure } from "../base/failure.ts";
import type { HandOver } from "../http/node.ts";
import type { Ownership } from "../replica/claims.ts";
import type { Replica } from "../replica/replica.ts";
import { Leading } from "./leading.ts";
import type { LeadershipOptions } from "./leadership-options.ts";
import { checkReplaced, wasOwner } from "./last-owner.ts";
import { Quiet } from "./quiet.ts";
import { watchStalls } from "./stall.ts";
import { StandingBy, type Taken } from "./standing-by.ts";
import {
  chooseSuccessor,
  doesNotLead,
  nextLeader,
  type OwnershipWaiters,
  successors,
} from "./succession.ts";

/** An append that hangs does not keep the others from hearing who leads next. */
const RELEASE_WAIT_MS = 2_000;

export class Leadership {
  readonly #options: LeadershipOptions;
  #system: Replica | null = null;
  #standingBy: StandingBy | null = null;
  #leading: Leading | null = null;
  #claim: number | null = null;
  #over: number | null = null;
  #open = true;
  readonly #quiet: Quiet;
  #mayResign = true;
  #cancelStalls = () => {};
  readonly #waiting: OwnershipWaiters = new Set();

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#quiet = new Quiet(options.clock);
  }

  /** Epoch of this node's claim in `system` while it leads. */
  get claim(): number | null {
    return this.#claim;
  }

  /** The claim of `system` before its newest own. */
  get over(): number | null {
    return this.#over;
  }

  /** It has begun to step down, and the others have not heard of it yet. */
  get isResigning(): boolean {
    return this.#leading !== null && this.#claim === null;
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
    const isFounder = system.state === "owning";
    if (isFounder || (await wasOwner(system, this.#options))) {
      const over = system.ownership?.claim.epoch;
      const reason = isFounder ? "it began the cluster" : "it led last";
      if (await this.#take(reason, over) === "won") return await this.#leading?.begun;
    }
    await this.#standBy(system).settled;
  }

  /** `system` was lost; also by one that is about to resign and claims nothing any more. */
  deposed(): void {
    if (!this.#leading) return;
    this.#options.log.warn("this node no longer leads", { quiet_ms: this.#quiet.deposed() });
    this.#endLead();
    if (this.#system && this.#open) this.#standBy(this.#system);
  }

  /** A claim or a resignation of `system` that another node, or an earlier life, made was applied. */
  onOwnership(ownership: Ownership): void {
    const { claim } = ownership;
    const { node } = this.#options;
    for (const heard of this.#waiting) heard(ownership);
    const isOther = claim.epoch !== this.#claim && this.#quiet.hasClaimed;
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
    throw doesNotLead(this.#system?.ownership?.claim);
  }

  async #resign(successor: string): Promise<void> {
    const system = this.#system;
    const { clock, log, node, release } = this.#options;
    if (!system || this.#claim === null) return;
    // From here on nothing is claimed; writes that come wait for the next leader.
    const claim = this.#claim;
    this.#claim = null;
    const leading = this.#leading;
    try {
      // Side by side: a request to the store less for those who wait (decision 0017).
      const ended = release().catch((error) => {
        log.warn("could not release all databases", { cause: describe(error) });
        return false;
      });
      const released = Promise.race([ended, clock.sleep(RELEASE_WAIT_MS).then(() => false)]);
      const failure = new Failure("elsewhere", `${node.id} has stepped down`);
      await system.resign(successor, failure, released);
    } catch (error) {
      // Deposed meanwhile, it may even lead again, by a claim of its own.
      if (this.#leading === leading && system.state === "owning") this.#claim = claim;
      throw error;
    }
    if (this.#leading !== leading) return;
    this.#endLead();
    if (successor === "") {
      this.#mayResign = false;
      this.#quiet.makeWay();
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
      quietUntilMs: () => this.#quiet.untilMs,
      onHeard,
      take: (reason, over) => this.#take(reason, over),
    });
  }

  /** Claims `system` over that claim; says to what it was lost. */
  async #take(reason: string, over: number | undefined): Promise<Taken> {
    const system = this.#system;
    if (!system) return "data";
    const epoch = system.tip + 1;
    const lead = Promise.withResolvers<boolean>();
    this.#options.onClaiming(epoch, lead.promise);
    try {
      return await this.#claimSystem(system, reason, over);
    } finally {
      lead.resolve(this.#claim === epoch);
    }
  }

  async #claimSystem(system: Replica, reason: string, over: number | undefined): Promise<Taken> {
    const { log, node } = this.#options;
    const before = system.ownership?.claim;
    const won = await system.claim(null, this.#options.wish(over));
    // It may have been lost again by the time that this is heard of.
    if (!won || system.state !== "owning") {
      log.info("the cluster was not claimed", { owner: system.ownership?.claim.node ?? null });
      return system.ownership?.claim.epoch === over ? "data" : "claim";
    }
    if (!this.#open) {
      // Meant to leave meanwhile: whoever stays need not wait for the silence of one that is there.
      await system.resign("", new Failure("elsewhere", `${node.id} has left`));
      return "claim";
    }
    this.#standingBy?.end();
    this.#standingBy = null;
    this.#quiet.claimed();
    this.#over = before?.epoch ?? null;
    const claim = this.#claim = system.ownership?.claim.epoch ?? system.tip;
    if (system.ownership) { for (const heard of this.#waiting) heard(system.ownership); }
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
