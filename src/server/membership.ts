/**
 * This node as one of a cluster: its links, whether it leads, and what both mean for its databases.
 * The network is passed in, so that the simulation can be it.
 */
import type { Clock } from "../base/clock.ts";
import { withDeadline } from "../base/deadline.ts";
import { describe, Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Layout } from "../epoch/key.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { BrokerState, Member, RosterMessage } from "../members/roster.ts";
import type { ReplicaHooks } from "../replica/hooks.ts";
import type { Replica } from "../replica/replica.ts";
import type { Store } from "../store/store.ts";
import { AddressBook, type Whereabouts } from "./address-book.ts";
import type { Catalog } from "./catalog.ts";
import type { LeaderHeartbeat } from "./cluster-files.ts";
import { Forwarding, type PeerAnswer, type PeerRequest } from "./forwarding.ts";
import { LeadWork } from "./lead-work.ts";
import { Leadership } from "./leadership.ts";
import type { LeadershipOptions } from "./leadership-options.ts";
import { linkEvents } from "./link-events.ts";
import type { LinkTransport } from "./links.ts";
import { type OwnFacts, ownMember } from "./own-member.ts";
import { type Asked, NextLeader, whomToAsk } from "./next-leader.ts";
import { NodeLinks, type NodeLinksOptions } from "./node-links.ts";
import { Preparation } from "./preparation.ts";
import { Proofs } from "./proofs.ts";

export interface Transport extends LinkTransport {
  call(
    where: Whereabouts,
    method: string,
    request: PeerRequest,
  ): Promise<PeerAnswer>;
}

export interface MembershipOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  readonly layout: Layout;
  readonly facts: OwnFacts;
  readonly heartbeat: LeaderHeartbeat;
  readonly heartbeatMs: number;
  readonly staleMs: number;
  readonly brokerStaleMs: number;
  readonly catalog: Catalog;
  readonly transport: Transport;
  /** Opens the workspace that a claim of this replica will ask for. */
  prepareWorkspace?(replica: Replica): void;
  /** Has processes ready for that many workspaces. */
  warmWriters?(count: number): void;
  storeFailingMs(): number;
  state(): BrokerState;
  /** Requests that are being answered. */
  running(): number;
  desired(node: string, process: string): BrokerState | undefined;
  /** An operator wants this node in that state. */
  onOrder(state: BrokerState): void;
  /** After each change of members or leader. */
  onRoster(roster: RosterMessage): void;
  /** What a new leader does before all else, such as reading what `system` says of the cluster. */
  onLead(): Promise<void>;
  onReplaced(failure: Failure): void;
}

export class Membership {
  readonly links: NodeLinks;
  readonly leadership: Leadership;
  readonly forwarding: Forwarding;
  readonly book: AddressBook;
  readonly proofs: Proofs;
  readonly #options: MembershipOptions;
  readonly #preparation: Preparation;
  readonly #next: NextLeader;
  readonly #work: LeadWork;

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { store, layout, clock, log, catalog } = options;
    this.#preparation = new Preparation({
      clock,
      log,
      replica: (name) => catalog.peek(name),
      prepare: (replica) => options.prepareWorkspace?.(replica),
      warm: (count) => options.warmWriters?.(count),
      isFirst: () => this.leadership.standby?.rank === 0,
    });
    this.book = new AddressBook(store, () => this.self());
    this.proofs = new Proofs(store, layout);
    this.links = new NodeLinks(this.#linksOptions());
    this.leadership = new Leadership(this.#leadershipOptions());
    this.#work = new LeadWork({
      ...options,
      preparation: this.#preparation,
      book: this.book,
      links: this.links,
      leadership: this.leadership,
    });
    this.#next = new NextLeader({
      claim: () => catalog.peek(SYSTEM_DATABASE)?.ownership?.claim,
      isKnown: (node) => this.book.others().some((one) => one.node === node),
    });
    this.forwarding = new Forwarding({
      clock,
      leader: () => this.#asked()?.node ?? null,
      belief: (leader) => {
        const asked = this.#asked();
        return asked?.node === leader ? asked.belief : null;
      },
      isHeir: () => this.#next.heir === options.facts.node,
      leads: () => this.leadership.claim !== null,
      isElecting: () => this.leadership.isSeeking || this.leadership.isLeaderInDoubt,
      ownerAddress: () => this.#otherOwner(),
      call: (node, method, request) => this.call(node, method, request),
    });
  }

  async start(system: Replica): Promise<void> {
    const files = this.book.readFiles(this.#options.brokerStaleMs, this.#options.clock);
    await files.catch((error) =>
      this.#options.log.warn("could not read who else there is", { cause: describe(error) })
    );
    await this.leadership.start(system);
  }

  close(): void {
    this.leadership.close();
    this.links.close("the node is stopping");
  }

  /** Leaves the roster: this node neither follows a leader's word nor leads, until `join`. */
  retire(): void {
    this.leadership.close();
    this.links.isAway = true;
    this.book.forget();
  }

  async join(): Promise<void> {
    this.links.isAway = false;
    await this.start(this.#system());
  }

  /** What replicas ask of and tell the cluster. */
  get hooks(): Omit<ReplicaHooks, "onSnapshot" | "onJoining"> {
    return {
      systemClaim: () => this.leadership.claim,
      proveLead: () => this.#preparation.hasJustWon ? Promise.resolve() : this.#system().prove(),
      onFenced: (replica) => this.#onFenced(replica),
      onDurable: (database, epoch, bytes) => this.links.hub?.push(database, epoch, bytes),
      onOwnership: (database, ownership, isPushed) => {
        if (database !== SYSTEM_DATABASE) return;
        const { facts } = this.#options;
        const { epoch, node, successor } = ownership.claim;
        // What a resignation allowed is over: a claim of this one may be lost to data (0011).
        if (successor === null && node !== facts.node) this.#preparation.over();
        if (successor !== null && isPushed) {
          const isNamed = successor === facts.node || successor === "";
          this.#preparation.resigned(epoch, isNamed && facts.eligible);
          this.#next.resigned(epoch);
        }
        this.leadership.onOwnership(ownership);
        this.forwarding.leaderChanged();
      },
    };
  }

  self(): Member {
    const { facts, state, running, catalog } = this.#options;
    return ownMember(facts, { state: state(), running: running(), replicas: catalog.replicas() });
  }

  /** The leader that this node hears: itself, or the other end of its link. */
  get leader(): string | null {
    return this.leadership.claim === null ? this.links.leader : this.#options.facts.node;
  }

  /** Who is in the cluster: as the leader says, or this node alone before it has heard of one. */
  roster(): RosterMessage {
    const hub = this.links.hub;
    if (hub) return hub.roster();
    const claim = this.#options.catalog.peek(SYSTEM_DATABASE)?.ownership;
    const members = this.book.roster?.members.filter(({ node }) => node !== this.self().node) ?? [];
    return {
      leader: claim?.claim.node ?? "",
      term: claim?.term ?? 0,
      members: [...members, this.self()].sort((a, b) => (a.node < b.node ? -1 : 1)),
    };
  }

  /** Another node says that it leads: the chain tells whether it does. */
  async onTold(from: string, claim: number): Promise<void> {
    const system = this.#system();
    if (Number.isSafeInteger(claim) && claim > system.tip) {
      // The call for a link that follows will want it.
      this.proofs.expectClaim(claim);
      this.#next.told(from, claim);
      this.forwarding.leaderChanged();
    }
    if (this.leadership.claim === null) await system.follow();
    // Refused, it is deposed by now, which is what the other wanted.
    else await system.prove().catch(() => {});
  }

  #asked(): Asked | null {
    return whomToAsk(this.#next, this.leadership, this.links);
  }

  #system(): Replica {
    return this.#options.catalog.system.replica;
  }

  /** Where the owner's clients are; undefined where that is this node, which knows no better. */
  #otherOwner(): string | undefined {
    const claim = this.#system().ownership?.claim;
    return claim?.node === this.#options.facts.node ? undefined : claim?.address;
  }

  /** Asks another node. `unavailable` when it was asked nothing. */
  async call(
    node: string,
    method: string,
    request: PeerRequest,
  ): Promise<PeerAnswer> {
    const { clock, transport } = this.#options;
    const finding = this.book.find(node);
    const where = await withDeadline(clock, request.deadlineMs, finding, `find ${node}`);
    if (where) return await transport.call(where, method, request);
    throw new Failure("unavailable", `Nobody knows the address of ${node}`);
  }

  #linksOptions(): NodeLinksOptions {
    const { clock, log, facts, transport, storeFailingMs, desired } = this.#options;
    return {
      clock,
      log,
      node: facts.node,
      book: this.book,
      proofs: this.proofs,
      transport,
      system: () => this.#system(),
      self: () => this.self(),
      storeFailingMs,
      desired,
      events: linkEvents(this, this.#options, this.#preparation),
    };
  }

  #leadershipOptions(): LeadershipOptions {
    const { clock, log, store, facts, heartbeat, heartbeatMs, staleMs, catalog } = this.#options;
    return {
      store,
      clock,
      log,
      node: { id: facts.node, address: facts.address },
      peerAddress: facts.peer_address,
      eligible: facts.eligible,
      heartbeat,
      heartbeatMs,
      staleMs,
      network: this.links,
      wish: (over) => this.#preparation.wish(over),
      links: () => ({
        links: this.links.hub?.links ?? 0,
        isLate: (ms) => this.links.hub?.isLate(ms) ?? false,
      }),
      onClaiming: (epoch, lead) => this.#work.claiming(epoch, lead),
      onStepDown: (successor) => this.links.hub?.prepare(successor),
      onWon: (claim) => {
        this.#preparation.won();
        this.links.lead(claim, this.#system().ownership?.term ?? 0);
        this.forwarding.leaderChanged();
      },
      onLead: (isSuccessor) => this.#work.begin(isSuccessor),
      onDeposed: () => this.links.deposed(),
      // A link that is silent pushes nothing: until it speaks, all is read from the store.
      onHeard: (isHeard) => {
        catalog.isPushed = isHeard && this.links.leader !== null;
      },
      release: () => this.#work.release(),
      resignIfOthers: () => this.#work.resignIfOthers(),
      onReplaced: this.#options.onReplaced,
    };
  }

  #onFenced(replica: Replica): void {
    const { log, catalog } = this.#options;
    log.warn("another node has taken a chain", { database: replica.name });
    if (replica.name === SYSTEM_DATABASE) {
      this.leadership.deposed();
      for (const other of catalog.replicas()) void other.giveUp();
      return;
    }
    // Whoever took it leads; asking the chain of `system` finds that out at once.
    this.#system().prove().catch((error) =>
      log.info("no longer the leader", { cause: describe(error) })
    );
  }
}
