/**
 * The leader's side of the links: one for each other node, down which go epochs, roster, orders and a
 * ping each second. What a follower is sent is durable; that it gets there is of no importance to
 * safety, since the store has it too.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { PING_MS, PUSH_BYTES_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { LINK_FRAMES, type LinkEnd, type LinkHello, type PeerChannel } from "./message.ts";
import { readReport } from "./read-head.ts";
import { type BrokerState, type Member, Roster, type RosterMessage, SUSPECT_MS } from "./roster.ts";

export interface HubOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly term: number;
  /** This node as a member of its own roster. */
  self(): Member;
  storeFailingMs(): number;
  /** The state that an operator wants a node in, as it holds for that process of it, if any. */
  desired(node: string, process: string): BrokerState | undefined;
  /** A link ended, or another came. */
  onLinks(change: "added" | "ended"): void;
  onRoster(roster: RosterMessage): void;
}

interface Link {
  readonly channel: PeerChannel;
  /** The newest ping sent, and the newest answered. */
  sent: number;
  answered: number;
  /** Since when no ping was answered though one waits for it; Infinity when all are answered. */
  waitingSinceMs: number;
}

/** A link whose pings were not answered for so long gives way to another one of its node. */
const UNANSWERED_MS = 2_000;
/** A node that has not answered a ping for so long is no successor. */
const SILENT_MS = 1_500;
/** The roster is told each so many pings, for the heads and the work in it. */
const ROSTER_PINGS = 5;

export class Hub {
  readonly #options: HubOptions;
  readonly #links = new Map<string, Link>();
  readonly #roster = new Roster();
  #cancelPing: (() => void) | null;
  #isRosterDue = false;
  #pings = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#cancelPing = options.clock.after(PING_MS, () => this.#ping());
  }

  /** Links whose nodes answer: one that was cut off without a word stands for long and says nothing. */
  get links(): number {
    const nowMs = this.#options.clock.monotonicMs();
    const links = [...this.#links.values()];
    return links.filter(({ waitingSinceMs }) => nowMs - waitingSinceMs < SUSPECT_MS).length;
  }

  /** True when some link has not answered for so long that its node may not hear this one either. */
  isLate(lateMs: number): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    return [...this.#links.values()].some(({ waitingSinceMs }) => nowMs - waitingSinceMs >= lateMs);
  }

  /** Another process with this id has a link that lives: the newcomer must end. */
  isTaken(node: string, nonce: string): boolean {
    const link = this.#links.get(node);
    if (!link || link.channel.peer.process === nonce) return false;
    return this.#options.clock.monotonicMs() - link.waitingSinceMs < UNANSWERED_MS;
  }

  /** True for a node with a link that has not answered for so long that it should have. */
  isSilent(node: string): boolean {
    const link = this.#links.get(node);
    return link !== undefined &&
      this.#options.clock.monotonicMs() - link.waitingSinceMs > SILENT_MS;
  }

  /** Takes a link whose node was proved to be of this cluster. */
  add(channel: PeerChannel, introduction: LinkHello): void {
    const { clock, log, onLinks } = this.#options;
    const { node, process } = channel.peer;
    const before = this.#links.get(node);
    const link: Link = { channel, sent: 0, answered: 0, waitingSinceMs: Infinity };
    this.#links.set(node, link);
    before?.channel.close("another link of this node took its place");
    this.#roster.add(node, { nonce: process, introduction }, clock.monotonicMs());
    channel.start({
      onFrame: ({ type, head }) => this.#frame(node, link, type, head),
      onClose: (end) => this.#ended(node, link, end),
    });
    log.info("a node joined", { node, address: introduction.address, zone: introduction.zone });
    this.#order(node, link);
    this.#tellRoster();
    onLinks("added");
  }

  /** Sends a durable epoch to all; null bytes, or more than a frame holds, they read from the store. */
  push(database: string, epoch: number, bytes: Uint8Array | null): void {
    const tail = bytes && bytes.byteLength <= PUSH_BYTES_MAX ? bytes : undefined;
    for (const { channel } of this.#links.values()) {
      channel.send(LINK_FRAMES.epoch, { database, epoch }, tail);
    }
  }

  /** The wish of an operator has changed. */
  order(node: string): void {
    const link = this.#links.get(node);
    if (link) this.#order(node, link);
    this.#tellRoster();
  }

  /** All wishes were read anew. */
  orderAll(): void {
    for (const [node, link] of this.#links) this.#order(node, link);
  }

  /** A node is about to be named as successor. */
  prepare(node: string): void {
    this.#links.get(node)?.channel.send(LINK_FRAMES.prepare, {});
  }

  /** This node's own facts have changed. */
  changed(): void {
    this.#tellRoster();
  }

  roster(): RosterMessage {
    const { clock, term, self } = this.#options;
    const own = self();
    const members = [own, ...this.#roster.members(clock.monotonicMs())]
      .sort((a, b) => (a.node < b.node ? -1 : 1));
    return { leader: own.node, term, members };
  }

  close(reason: string): void {
    this.#cancelPing?.();
    this.#cancelPing = null;
    for (const { channel } of this.#links.values()) channel.close(reason);
    this.#links.clear();
  }

  #order(node: string, { channel }: Link): void {
    const state = this.#options.desired(node, channel.peer.process);
    if (state !== undefined) channel.send(LINK_FRAMES.order, { state });
  }

  #frame(node: string, link: Link, type: number, head: unknown): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (type === LINK_FRAMES.echo) {
      link.channel.send(LINK_FRAMES.echoed, {});
      return;
    }
    if (type !== LINK_FRAMES.report) return;
    const { ping, ...report } = readReport(head);
    if (ping > link.answered) {
      link.answered = ping;
      // Behind a long way each answer comes after the next ping was sent.
      link.waitingSinceMs = ping === link.sent ? Infinity : nowMs;
    }
    if (this.#roster.heard(node, report, nowMs)) this.#tellRoster();
  }

  #ended(node: string, link: Link, end: LinkEnd): void {
    // Another one took its place.
    if (this.#links.get(node) !== link) return;
    this.#links.delete(node);
    this.#roster.remove(node);
    this.#options.log.info("a node left", { node, cause: end.message });
    this.#tellRoster();
    this.#options.onLinks("ended");
  }

  #ping(): void {
    const { clock, storeFailingMs } = this.#options;
    this.#cancelPing = clock.after(PING_MS, () => this.#ping());
    const nowMs = clock.monotonicMs();
    const store_failing_ms = Math.round(storeFailingMs());
    for (const link of this.#links.values()) {
      if (link.answered === link.sent) link.waitingSinceMs = nowMs;
      link.sent++;
      link.channel.send(LINK_FRAMES.ping, { number: link.sent, store_failing_ms });
    }
    const { isNews, gone } = this.#roster.look(nowMs);
    for (const node of gone) {
      this.#links.get(node)?.channel.close("nothing was heard of it for too long");
    }
    this.#pings++;
    if (isNews || this.#pings % ROSTER_PINGS === 0) this.#tellRoster();
  }

  /** Many changes at once are told once. */
  #tellRoster(): void {
    if (this.#isRosterDue) return;
    this.#isRosterDue = true;
    void this.#options.clock.turn().then(() => {
      this.#isRosterDue = false;
      if (this.#cancelPing === null) return;
      const roster = this.roster();
      for (const { channel } of this.#links.values()) channel.send(LINK_FRAMES.roster, roster);
      this.#options.onRoster(roster);
    }).catch((error) =>
      this.#options.log.error("could not tell the roster", { cause: describe(error) })
    );
  }
}
