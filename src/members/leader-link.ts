/**
 * A node's side of its link to the leader: epochs, roster, orders and pings come down, reports go up
 * (PROTOCOL section 9). While it stands the node asks the store for nothing.
 */
import type { Clock } from "../base/clock.ts";
import { ECHO_MS, PING_MS } from "../base/limits.ts";
import { LINK_FRAMES, type LinkEnd, type LinkFrame, type PeerChannel } from "./message.ts";
import { readEpochHead, readOrder, readPing, readRoster } from "./read-head.ts";
import { type BrokerState, GONE_MS, type Report, type RosterMessage } from "./roster.ts";

export interface LeaderLinkOptions {
  readonly clock: Clock;
  /** The claim in `system` by which its other end leads. */
  readonly claim: number;
  report(): Report;
  onEpoch(database: string, epoch: number, bytes: Uint8Array | null): void;
  onRoster(roster: RosterMessage): void;
  onOrder(state: BrokerState): void;
  /** The leader is about to step down in favour of this node. */
  onPrepare(): void;
  /** For how long the leader says that its store has failed. */
  onLeaderStore(failingMs: number): void;
  onEnd(end: LinkEnd): void;
}

/** Without input for so long a link says nothing about its leader. */
const FRESH_MS = 1_500;
/**
 * After so many reports without any input the link is given up, and the leader called anew: whether
 * the network carries again is learned from a call, not from what waits to be sent again. Counted,
 * not timed: a process that stood still has heard nothing either (I11).
 */
const SILENT_REPORTS_MAX = GONE_MS / PING_MS;

export class LeaderLink {
  readonly #channel: PeerChannel;
  readonly #options: LeaderLinkOptions;
  /** Heads as the leader knows them. */
  #told: Readonly<Record<string, number>> = {};
  #ping = 0;
  /** Reports since the last input, and when that came. */
  #silentReports = 0;
  #heardMs = 0;
  #isOpen = true;
  #cancelReport: (() => void) | null = null;
  readonly #echoes = new Set<(isHeard: boolean) => void>();

  constructor(channel: PeerChannel, options: LeaderLinkOptions) {
    this.#channel = channel;
    this.#options = options;
    channel.start({
      onFrame: (frame) => this.#frame(frame),
      onClose: (end) => this.#ended(end),
    });
    this.#report();
  }

  get leader(): string {
    return this.#channel.peer.node;
  }

  get claim(): number {
    return this.#options.claim;
  }

  get lastInputMs(): number {
    return this.#channel.lastInputMs;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the leader is heard now: it is asked, unless the link is known not to stand. */
  async stands(): Promise<boolean> {
    const { clock } = this.#options;
    if (!this.#isOpen || clock.monotonicMs() - this.lastInputMs > FRESH_MS) return false;
    const heard = Promise.withResolvers<boolean>();
    this.#echoes.add(heard.resolve);
    const cancel = clock.after(ECHO_MS, () => heard.resolve(false));
    this.#channel.send(LINK_FRAMES.echo, {});
    try {
      return await heard.promise;
    } finally {
      cancel();
      this.#echoes.delete(heard.resolve);
    }
  }

  /** What this node says of itself has changed. */
  reportNow(): void {
    this.#cancelReport?.();
    this.#report();
  }

  close(reason: string): void {
    this.#channel.close(reason);
  }

  #frame({ type, head, tail }: LinkFrame): void {
    const { onEpoch, onRoster, onOrder, onLeaderStore } = this.#options;
    switch (type) {
      case LINK_FRAMES.epoch: {
        const { database, epoch } = readEpochHead(head);
        return onEpoch(database, epoch, tail.byteLength === 0 ? null : tail);
      }
      case LINK_FRAMES.roster:
        return onRoster(readRoster(head));
      case LINK_FRAMES.prepare:
        return this.#options.onPrepare();
      case LINK_FRAMES.order:
        return onOrder(readOrder(head).state);
      case LINK_FRAMES.ping: {
        const { number, store_failing_ms } = readPing(head);
        this.#ping = number;
        this.reportNow();
        return onLeaderStore(store_failing_ms);
      }
      case LINK_FRAMES.echoed:
        for (const heard of this.#echoes) heard(true);
    }
  }

  /** Goes up each second also without a ping, so that a broken way is noticed from here too. */
  #report(): void {
    if (!this.#isOpen) return;
    this.#silentReports = this.lastInputMs === this.#heardMs ? this.#silentReports + 1 : 0;
    this.#heardMs = this.lastInputMs;
    if (this.#silentReports > SILENT_REPORTS_MAX) {
      return this.close("nothing was heard of the leader for too long");
    }
    const { clock, report } = this.#options;
    const { heads, ...rest } = report();
    const news = Object.entries(heads).filter(([database, head]) => this.#told[database] !== head);
    this.#told = heads;
    const head = { ...rest, heads: Object.fromEntries(news), ping: this.#ping };
    this.#channel.send(LINK_FRAMES.report, head);
    this.#cancelReport = clock.after(PING_MS, () => this.#report());
  }

  #ended(end: LinkEnd): void {
    this.#isOpen = false;
    this.#cancelReport?.();
    for (const heard of this.#echoes) heard(false);
    this.#options.onEnd(end);
  }
}
