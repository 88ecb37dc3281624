/**
 * Carries out who leads: claims `system` when the rules say so, keeps the heartbeat while leading,
 * and starts over when deposed. The rules are in `election/`; the store decides.
 */
import { describe, Failure } from "../base/failure.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { dampingMs } from "../election/damping.ts";
import {
  beginTakeover,
  type Observation,
  type Takeover,
  type TakeoverAction,
  type TakeoverOptions,
  takeoverStep,
} from "../election/takeover.ts";
import type { Replica } from "../replica/replica.ts";
import type { Store } from "../store/store.ts";
import { type LeaderHeartbeat, readLeaderFile } from "./cluster-files.ts";
import { type Presence, probeAddress } from "./probe-address.ts";

export interface LeadershipOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly node: { readonly id: string; readonly address: string };
  readonly peerAddress: string;
  readonly eligible: boolean;
  readonly heartbeat: LeaderHeartbeat;
  readonly heartbeatMs: number;
  readonly staleMs: number;
  /**
   * Called each time this node begins to lead, before it is announced. `isSuccessor` when another
   * node led before: its chains are to be claimed, or it may go on with them.
   */
  onLead(isSuccessor: boolean): Promise<void>;
  /** Another process runs with this node's id: this one must end. */
  onReplaced(failure: Failure): void;
  /** Who is at an address; by HTTP when absent. */
  readonly probe?: (address: string) => Promise<Presence>;
}

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #takeover: TakeoverOptions;
  readonly #probe: (address: string) => Promise<Presence>;
  readonly #closing = new AbortController();
  #system: Replica | null = null;
  #claim: number | null = null;
  #running: Promise<void> | null = null;
  #lastClaimAtMs = -Infinity;
  #dampingMs = 0;
  #quietUntilMs = -Infinity;
  /** When the loop of a leader last came round. */
  #awakeMs = 0;
  /** What follows a claim is not done yet. */
  #isNew = false;
  #isSuccessor = false;
  #lookedAtStoreMs = -Infinity;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#takeover = { staleMs: options.staleMs, refusedTwiceMs: 300 };
    this.#probe = options.probe ?? probeAddress;
  }

  /** Epoch of this node's claim in `system` while it leads. */
  get claim(): number | null {
    return this.#claim;
  }

  /** Resolves when this node leads or has seen that it has to wait. */
  async start(system: Replica): Promise<void> {
    this.#system = system;
    // A chain that this process just created is owned from its first epoch on.
    if (system.state === "owning" || (await this.#wasOwner(system))) {
      await this.#take("it led last");
    }
    this.#running = this.#run();
  }

  /** `system` was lost. */
  deposed(): void {
    if (this.#claim === null) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#claim = null;
    this.#dampingMs = dampingMs(this.#dampingMs, nowMs - this.#lastClaimAtMs);
    this.#quietUntilMs = nowMs + this.#dampingMs;
    this.#options.log.warn("this node no longer leads", { quiet_ms: this.#dampingMs });
  }

  async close(): Promise<void> {
    this.#closing.abort(new Failure("unavailable", "The node is stopping"));
    // A claim ends when the store has answered, which it may never do; nobody wants it any more.
    const waiting = new AbortController();
    await Promise.race([this.#running, this.#options.clock.sleep(CLOSE_MS, waiting.signal)]);
    waiting.abort();
  }

  get #open(): boolean {
    return !this.#closing.signal.aborted;
  }

  /** Judged once, at start: a restart claims at once, a second process with the same id ends. */
  async #wasOwner(system: Replica): Promise<boolean> {
    const claim = system.ownership?.claim;
    const { node, eligible } = this.#options;
    if (!claim || claim.node !== node.id) return false;
    if (claim.address === node.address) return eligible;
    const presence = await this.#probe(claim.address);
    if (presence.kind === "answered" && presence.node === node.id) {
      throw new Failure(
        "conflict",
        `Cannot start: the node id ${node.id} is in use at ${claim.address}; ` +
          "delete the file at cluster_mode.node_id_path for a new one",
      );
    }
    return eligible;
  }

  async #run(): Promise<void> {
    while (this.#open) {
      try {
        if (this.#claim !== null) await this.#lead();
        else if (this.#options.eligible) await this.#wait();
        else await this.#sleep(this.#options.heartbeatMs);
      } catch (error) {
        if (!this.#open) return;
        this.#options.log.warn("leadership", { cause: describe(error) });
        await this.#sleep(1_000).catch(() => {});
      }
    }
  }

  /** One heartbeat, then the time to the next. */
  async #lead(): Promise<void> {
    const { clock, heartbeat, node, peerAddress, heartbeatMs, log } = this.#options;
    const system = this.#system;
    if (!system) return;
    if (this.#isNew) await this.#begin();
    const written = await heartbeat.beat({
      node: node.id,
      address: node.address,
      peer_address: peerAddress,
      term: system.ownership?.term ?? 0,
      epoch: system.tip,
      heartbeat_ms: heartbeatMs,
    });
    if (!written && this.#claim !== null) {
      log.warn("another node wrote leader.json; asking the chain who leads");
      await this.#askChain(system);
      return await this.#sleep(DEPOSED_LOOK_MS);
    }
    const untilMs = clock.monotonicMs() + heartbeatMs;
    while (this.#open && this.#claim !== null && clock.monotonicMs() < untilMs) {
      await this.#sleep(Math.min(DEPOSED_LOOK_MS, untilMs - clock.monotonicMs()));
      const nowMs = clock.monotonicMs();
      const stood = nowMs - this.#awakeMs > DEPOSED_LOOK_MS + STALL_MS;
      this.#awakeMs = nowMs;
      // Whoever stood still may have a successor, which may not have announced itself yet.
      if (stood) await this.#askChain(system);
    }
  }

  /** Finds a newer claim if there is one, and then this node is deposed. */
  async #askChain(system: Replica): Promise<void> {
    await system.prove().catch((error) =>
      this.#options.log.warn("cannot tell whether this node still leads, or it does not", {
        cause: describe(error),
      })
    );
  }

  /** Another node owns `system`: looks at it and at the store until the rules say claim. */
  async #wait(): Promise<void> {
    const { clock, node } = this.#options;
    const quietMs = this.#quietUntilMs - clock.monotonicMs();
    if (quietMs > 0) await this.#sleep(quietMs);
    let state = beginTakeover(clock.monotonicMs());
    while (this.#open && this.#claim === null) {
      const owner = this.#system?.ownership?.claim;
      if (owner?.node === node.id && owner.epoch !== this.#claim && this.#lastClaimAtMs > 0) {
        await this.#checkReplaced(owner.address);
      }
      const observations = await this.#observe();
      let action: TakeoverAction = { kind: "look", afterMs: 1_000 };
      for (const observation of observations) {
        const step: { state: Takeover; action: TakeoverAction } = takeoverStep(
          state,
          observation,
          clock.monotonicMs(),
          this.#takeover,
        );
        state = step.state;
        if (action.kind !== "claim") {
          action = step.action.kind === "look"
            ? { kind: "look", afterMs: Math.min(action.afterMs, step.action.afterMs) }
            : step.action;
        }
      }
      if (action.kind === "claim") {
        if (!(await this.#isOvertaken()) && await this.#take(action.reason)) return;
        state = beginTakeover(clock.monotonicMs());
      } else await this.#sleep(action.afterMs);
    }
  }

  /**
   * Whether there is a newer claim than the one that was judged. A node that follows by polling, or
   * was just deposed, knows an owner of the past; the one of today may well live.
   */
  async #isOvertaken(): Promise<boolean> {
    const before = this.#system?.ownership?.claim.epoch;
    await this.#system?.follow();
    return this.#system?.ownership?.claim.epoch !== before;
  }

  async #observe(): Promise<Observation[]> {
    const { store, node } = this.#options;
    const claim = this.#system?.ownership?.claim;
    if (!claim || claim.successor !== null) return [{ kind: "resigned" }];
    const presence = claim.address === node.address
      ? { kind: "refused" as const }
      : await this.#probe(claim.address);
    const owner: Observation = presence.kind === "answered"
      ? { kind: "answered", asOwner: presence.node === claim.node }
      : presence;
    // A refusal is looked at again at once. An owner that answers may yet have lost the store.
    const nowMs = this.#options.clock.monotonicMs();
    const isDue = nowMs - this.#lookedAtStoreMs >= this.#takeover.staleMs / 2;
    if (owner.kind !== "silent" && !(owner.kind === "answered" && isDue)) return [owner];
    this.#lookedAtStoreMs = nowMs;
    const leader = await readLeaderFile(store);
    const tip = this.#system?.tip ?? 0;
    return [owner, { kind: "store", seen: `${leader?.nonce ?? ""} ${tip}` }];
  }

  async #checkReplaced(address: string): Promise<void> {
    const { node, onReplaced } = this.#options;
    const presence = await this.#probe(address);
    if (address === node.address || presence.kind !== "answered" || presence.node !== node.id) {
      return;
    }
    onReplaced(
      new Failure("conflict", `The node id ${node.id} is in use by a newer process at ${address}`),
    );
  }

  async #take(reason: string): Promise<boolean> {
    const { log, clock } = this.#options;
    const system = this.#system;
    const before = system?.ownership?.claim;
    // It may have been lost again by the time that this is heard of.
    if (!system || !(await system.claim(null)) || system.state !== "owning") {
      log.info("another node claimed the cluster first");
      return false;
    }
    this.#lastClaimAtMs = clock.monotonicMs();
    this.#awakeMs = this.#lastClaimAtMs;
    this.#claim = system.ownership?.claim.epoch ?? system.tip;
    log.info("this node leads", {
      reason,
      term: system.ownership?.term ?? 0,
      epoch: this.#claim,
    });
    this.#isSuccessor = before !== undefined && before.node !== this.#options.node.id;
    this.#isNew = true;
    await this.#begin();
    return true;
  }

  /** Tried again before each heartbeat until it succeeds. */
  async #begin(): Promise<void> {
    await this.#options.onLead(this.#isSuccessor);
    this.#isNew = false;
  }

  #sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, this.#closing.signal);
  }
}

/** A round of the loop that takes this much longer than its wait: the process stood still. */
const STALL_MS = 500;

const CLOSE_MS = 1_000;

/** How soon the heartbeat loop notices that this node was deposed. */
const DEPOSED_LOOK_MS = 1_000;
