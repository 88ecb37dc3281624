/**
 * This node among the others: the link to the leader while it follows, the links of all others while
 * it leads, and what goes through them to the catalog and the rules of leadership.
 */
import type { Clock } from "../base/clock.ts";
import { describe, Failure, isFailure } from "../base/failure.ts";
import { ASK_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Contender } from "../election/rank.ts";
import { Hub } from "../members/hub.ts";
import { LeaderLink } from "../members/leader-link.ts";
import type { LeaderHello, LinkEnd, LinkHello, PeerChannel } from "../members/message.ts";
import type { BrokerState, Member, Report, RosterMessage } from "../members/roster.ts";
import type { Claim } from "../replica/claims.ts";
import type { Replica } from "../replica/replica.ts";
import type { AddressBook } from "./address-book.ts";
import type { Dialled, DialOutcome, Links, LinkTransport, NodeLinksEvents } from "./links.ts";
import { probeAddress } from "./probe-address.ts";
import { claimId, type Proofs } from "./proofs.ts";
import { STORE_FAILING_MS } from "./breaker.ts";

export interface NodeLinksOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly node: string;
  readonly book: AddressBook;
  readonly proofs: Proofs;
  readonly transport: LinkTransport;
  system(): Replica;
  self(): Member;
  storeFailingMs(): number;
  desired(node: string, process: string): BrokerState | undefined;
  readonly events: NodeLinksEvents;
}

export class NodeLinks implements Links {
  readonly #options: NodeLinksOptions;
  #link: LeaderLink | null = null;
  #hub: Hub | null = null;
  #isLeaderStoreFailing = false;
  /** Set while this node is in no roster: a call that was under way makes no link any more. */
  #isAway = false;

  constructor(options: NodeLinksOptions) {
    this.#options = options;
  }

  /** The links of this node while it leads. */
  get hub(): Hub | null {
    return this.#hub;
  }

  /** The leader that this node has a link to. */
  get leader(): string | null {
    return this.#link?.leader ?? null;
  }

  async call(claim: Claim): Promise<"linked" | DialOutcome> {
    const { book, self, transport, log } = this.#options;
    const where = await book.find(claim.node, claim.address);
    if (!where || where.peerAddress === "") return await this.#probe(claim);
    this.#options.proofs.expectClaim(claim.epoch);
    try {
      const dialled = await transport.dial(where, introductionOf(self()));
      if (typeof dialled === "string") return dialled;
      return await this.#use(claim, dialled);
    } catch (error) {
      if (isFailure(error, "conflict")) this.#options.events.onReplaced(error);
      log.info("a call for a link was turned down", { node: claim.node, cause: describe(error) });
      // It lives, and does not lead as far as it knows; or it cannot tell just now.
      return isFailure(error, "elsewhere") ? "refused" : "unanswered";
    }
  }

  async ask(claim: Claim): Promise<boolean> {
    const { book, transport, clock, node } = this.#options;
    const others = book.others().filter((one) => one.node !== claim.node && one.node !== node);
    const answer = Promise.withResolvers<boolean>();
    const cancel = clock.after(ASK_MS, () => answer.resolve(false));
    const asked = others.map(async (one) => {
      if (await transport.askOne(one, claim.epoch, ASK_MS).catch(() => false)) answer.resolve(true);
    });
    void Promise.all(asked).then(() => answer.resolve(false));
    const isSeen = await answer.promise;
    cancel();
    return isSeen;
  }

  lastInputMs(): number | null {
    return this.#link?.lastInputMs ?? null;
  }

  linkedTo(): number | null {
    return this.#link?.claim ?? null;
  }

  drop(reason: string): void {
    const link = this.#link;
    this.#link = null;
    if (!link) return;
    link.close(reason);
    this.#options.events.onUnlinked();
  }

  /** This node leaves the roster, or comes back to it. */
  set isAway(isAway: boolean) {
    this.#isAway = isAway;
    if (isAway) this.drop("this node retires");
  }

  contenders(): readonly Contender[] {
    return this.#options.book.contenders((node) => this.#hub?.isSilent(node) ?? false);
  }

  async isSelfAt(address: string): Promise<boolean> {
    const presence = await (this.#options.transport.probe ?? probeAddress)(address);
    return presence.kind === "answered" && presence.node === this.#options.node;
  }

  /** Whether this node hears the owner of that claim now: another one asks. */
  async hears(claim: number): Promise<boolean> {
    return this.#link?.claim === claim && await this.#link.stands();
  }

  /** What this node says of itself has changed. */
  reportNow(): void {
    this.#link?.reportNow();
    this.#hub?.changed();
  }

  /** This node leads: it takes links, and calls everybody that it knows. */
  lead(claim: number, term: number): void {
    const { clock, log, self, storeFailingMs, desired, book, transport } = this.#options;
    const { onLinks, onRoster } = this.#options.events;
    this.drop("this node leads");
    const others = book.others();
    this.#hub = new Hub({
      clock,
      log,
      term,
      self,
      storeFailingMs,
      desired,
      onLinks,
      onRoster: (roster) => {
        book.onRoster(roster);
        onRoster(roster);
      },
    });
    for (const one of others) {
      transport.tellOne(one, claim).catch((error) =>
        log.info("could not tell a node who leads", { node: one.node, cause: describe(error) })
      );
    }
  }

  deposed(): void {
    this.#hub?.close("this node leads no more");
    this.#hub = null;
  }

  /** Judges a call for a link: what to answer, or a `Failure` for the caller. */
  welcome(peer: PeerChannel["peer"], claim: number | null): LeaderHello {
    const hub = this.#hub;
    const system = this.#options.system();
    if (!hub || claim === null) {
      const owner = system.ownership?.claim;
      throw new Failure("elsewhere", "This node does not lead", {
        ...(owner && { leader: owner.address, details: { node: owner.node, claim: owner.epoch } }),
      });
    }
    if (peer.node === this.#options.node || hub.isTaken(peer.node, peer.process)) {
      throw new Failure(
        "conflict",
        `The node id ${peer.node} is in use by another process that has a link; delete the file at ` +
          "cluster_mode.node_id_path for a new one",
      );
    }
    const { ownership, claimId: id } = system;
    return { claim, claim_id: claimId(id), term: ownership?.term ?? 0, roster: hub.roster() };
  }

  /** A link that was welcomed stands. */
  joined(channel: PeerChannel, hello: LinkHello): void {
    if (this.#hub) this.#hub.add(channel, hello);
    else channel.close("this node leads no more");
  }

  close(reason: string): void {
    this.#link?.close(reason);
    this.#link = null;
    this.deposed();
  }

  /** Where no links are taken, the address of clients tells whether a process is there. */
  async #probe(claim: Claim): Promise<"refused" | "unanswered"> {
    const presence = await (this.#options.transport.probe ?? probeAddress)(claim.address);
    if (presence.kind === "silent") return "unanswered";
    return presence.kind === "answered" && presence.node === claim.node ? "unanswered" : "refused";
  }

  async #use(
    claim: Claim,
    { channel, hello }: Dialled,
  ): Promise<"linked" | "refused" | "unanswered"> {
    const { proofs, system } = this.#options;
    const refuse = (why: string) => {
      channel.close(why);
      return "refused" as const;
    };
    try {
      if (hello.claim > claim.epoch) await system().follow();
      const owner = system().ownership?.claim;
      if (owner?.epoch !== hello.claim || owner.node !== channel.peer.node) {
        return refuse("it leads by another claim than the newest that is known here");
      }
      if (!(await proofs.claim(hello.claim, hello.claim_id))) {
        return refuse("its claim is not in this node's store");
      }
    } catch (error) {
      channel.close("its claim could not be proved");
      throw error;
    }
    // A newer one was found meanwhile.
    const isNewest = system().ownership?.claim.epoch === hello.claim;
    if (!isNewest || this.#hub || this.#isAway) return refuse("too late");
    return this.#linked(channel, hello) ? "linked" : "unanswered";
  }

  /**
   * False where it ended while the claim was proved. Two calls at once may both have been welcomed:
   * one that has ended replaces nothing, and none replaces one of the same claim that stands.
   */
  #linked(channel: PeerChannel, hello: LeaderHello): boolean {
    const { clock, events, book, log } = this.#options;
    const onRoster = (roster: RosterMessage) => {
      book.onRoster(roster);
      events.onRoster(roster);
    };
    // Its end may be here already, and is heard of before it is made.
    let link: LeaderLink | null = null;
    link = new LeaderLink(channel, {
      ...events,
      clock,
      claim: hello.claim,
      report: () => reportOf(this.#options.self()),
      onRoster,
      onLeaderStore: (failingMs) => void this.#onLeaderStore(failingMs),
      onEnd: (end) => this.#ended(link, end),
    });
    const stands = this.#link?.claim === hello.claim && this.#link.isOpen;
    if (stands) link.close("another link stands");
    if (stands || !link.isOpen) return stands;
    this.drop("another link was made");
    this.#isLeaderStoreFailing = false;
    onRoster(hello.roster);
    this.#link = link;
    log.info("linked to the leader", { node: link.leader, claim: hello.claim });
    events.onLinked();
    return true;
  }

  #ended(link: LeaderLink | null, end: LinkEnd): void {
    if (link === null || this.#link !== link) return;
    this.#link = null;
    const { events, log } = this.#options;
    log.info("the link to the leader ended", { node: link.leader, cause: end.message });
    events.onUnlinked();
    events.onLost(end.kind === "closed_here" ? "silence" : "close");
  }

  /** A leader without a store is passed over only by a node that has one. */
  async #onLeaderStore(failingMs: number): Promise<void> {
    const { events, system, clock, storeFailingMs } = this.#options;
    const isFailing = failingMs > STORE_FAILING_MS;
    const link = this.#link;
    if (isFailing === this.#isLeaderStoreFailing) return;
    if (isFailing) {
      const startedMs = clock.monotonicMs();
      await system().follow().catch(() => {});
      // What was said of a leader before says nothing of this one.
      if (this.#link !== link) return;
      if (storeFailingMs() > 0 || clock.monotonicMs() - startedMs > OWN_STORE_MS) return;
    }
    this.#isLeaderStoreFailing = isFailing;
    events.onLeaderStore(isFailing);
  }
}

/** An own store that answers within this time is there. */
const OWN_STORE_MS = 1_000;

function introductionOf(self: Member): LinkHello {
  const { address, peer_address, zone, roles, eligible, version, state } = self;
  return { address, peer_address, zone, roles, eligible, version, state };
}

function reportOf({ state, heads, running }: Member): Report {
  return { state, heads, running };
}
