/**
 * Where nodes are: from the roster while there is a leader, else from the files in `cluster_state/`,
 * which every node writes at its start (PROTOCOL section 9).
 */
import type { Clock } from "../base/clock.ts";
import { isFailure } from "../base/failure.ts";
import type { Contender } from "../election/rank.ts";
import { contender, type Member, type RosterMessage } from "../members/roster.ts";
import type { Store } from "../store/store.ts";
import { type BrokerFile, listBrokers, readBrokerFile, readLeaderFile } from "./cluster-files.ts";

export interface Whereabouts {
  readonly node: string;
  readonly address: string;
  readonly peerAddress: string;
  readonly nonce: string;
}

/** Files of other nodes that are read when there is no roster. */
const FILES_MAX = 256;

export class AddressBook {
  readonly #store: Store;
  readonly #self: () => Member;
  readonly #files = new Map<string, BrokerFile>();
  #roster: RosterMessage | null = null;

  constructor(store: Store, self: () => Member) {
    this.#store = store;
    this.#self = self;
  }

  /** The newest roster that a leader sent, or this leader's own. */
  get roster(): RosterMessage | null {
    return this.#roster;
  }

  onRoster(roster: RosterMessage): void {
    this.#roster = roster;
  }

  /** What was known is of a time when this node was in it. */
  forget(): void {
    this.#roster = null;
    this.#files.clear();
  }

  /** Reads the files of other nodes that were written within `freshMs` of the store's time. */
  async readFiles(freshMs: number, clock: Clock): Promise<void> {
    const storeMs = clock.nowMs() + this.#store.clockOffsetMs();
    const nodes = (await listBrokers(this.#store))
      .filter(({ modifiedAtMs }) => storeMs - modifiedAtMs <= freshMs)
      .slice(0, FILES_MAX);
    const files = await Promise.all(nodes.map(({ node }) => this.#fileOf(node)));
    this.#files.clear();
    const self = this.#self().node;
    for (const file of files) if (file && file.node !== self) this.#files.set(file.node, file);
  }

  /** A file that cannot be read, or not by this version, is as good as none. */
  async #fileOf(node: string): Promise<BrokerFile | null> {
    try {
      return await readBrokerFile(this.#store, node);
    } catch (error) {
      if (isFailure(error, "corrupt", "invalid")) return null;
      throw error;
    }
  }

  /** The other nodes whose files were fresh when they were read last. */
  files(): Whereabouts[] {
    return [...this.#files.values()].map(whereaboutsOf);
  }

  /** The other nodes that may be there. */
  others(): Whereabouts[] {
    const self = this.#self().node;
    const known = this.#roster?.members.map((member) => ({
      node: member.node,
      address: member.address,
      peerAddress: member.peer_address,
      nonce: member.nonce,
    })) ?? this.files();
    return known.filter(({ node }) => node !== self);
  }

  /**
   * Where a node takes links; null when nobody has written it down. A roster that knows it at
   * another address than `address` is of a time before it moved.
   */
  async find(node: string, address?: string): Promise<Whereabouts | null> {
    const member = this.others().find((one) => one.node === node);
    const isCurrent = address === undefined || member?.address === address;
    if (member && this.#roster && isCurrent) return member;
    const [leader, file] = await Promise.all([readLeaderFile(this.#store), this.#fileOf(node)]);
    if (file) return whereaboutsOf(file);
    if (leader?.node !== node) return null;
    return { node, address: leader.address, peerAddress: leader.peer_address, nonce: "" };
  }

  /** Who could lead: by the roster, else by the files that were read last. */
  contenders(isSilent: (node: string) => boolean = () => false): readonly Contender[] {
    const self = this.#self();
    const others = this.#roster?.members.map((member) => ({
      ...contender(member),
      ...(isBehind(member, self) && { isBehind: true }),
      ...(isSilent(member.node) && { isSilent: true }),
    })) ??
      [...this.#files.values()].map(({ node, zone, state, eligible }) => ({
        node,
        zone,
        state,
        eligible: eligible ?? true,
      }));
    return [...others.filter(({ node }) => node !== self.node), contender(self)];
  }
}

/** Epochs that a report may be late by: it comes once a second. */
const LATE_EPOCHS_MAX = 200;

/** It has not read a database that this node has, or not far enough. */
function isBehind({ heads }: Member, self: Member): boolean {
  return Object.entries(self.heads).some(([database, head]) =>
    head - (heads[database] ?? -Infinity) > LATE_EPOCHS_MAX
  );
}

function whereaboutsOf({ node, address, peer_address, nonce }: BrokerFile): Whereabouts {
  return { node, address, peerAddress: peer_address, nonce };
}
