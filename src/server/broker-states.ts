/**
 * The states that operators want nodes in: rows in `system`, which outlive leaders and restarts. The
 * leader sends each to whom it concerns, and a node reads its own when it starts. This node's own
 * state follows them.
 *
 * An order to shut down is for the process that it was given to. The next one of its node finds it
 * obeyed, and drains until it is set active: whoever starts a node that was shut down wants to look
 * at it first.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { DRAIN_MS, LEAVE_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { Turns } from "../base/turns.ts";
import type { BrokerState } from "../members/roster.ts";

/** `process` is the nonce of the process that ran when the order was given; "" for none. */
export interface BrokerRow {
  readonly node: string;
  readonly state: BrokerState;
  readonly process: string;
}

export interface BrokerStatesOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Hands the lead over if this node has it and another one could take it. */
  stepDown(): Promise<void>;
  leads(): boolean;
  /** Requests that are being answered. */
  running(): number;
  /** Takes no new work, or takes it again. */
  onChange(state: BrokerState): void;
  /** What ran is done: this node is to leave the roster. */
  onRetire(): Promise<void>;
  /** What ran is done: the process is to end, with exit code 0. */
  onShutdown(): void;
}

const LOOK_MS = 50;

export class BrokerStates {
  readonly #options: BrokerStatesOptions;
  readonly #rows = new Map<string, BrokerRow>();
  #state: BrokerState = "active";
  #isLeaving = false;
  readonly #turns = new Turns();

  constructor(options: BrokerStatesOptions) {
    this.#options = options;
  }

  /** This node's own, as it tells it: one whose process ends drains, whatever it is wanted for. */
  get state(): BrokerState {
    return this.#isLeaving && this.#state === "active" ? "draining" : this.#state;
  }

  /** False once this node drains, or its process ends. */
  get takesWork(): boolean {
    return this.#state === "active" && !this.#isLeaving;
  }

  /** What the rows of `system`, as this node read them last, want of that process of a node. */
  desired(node: string, process: string): BrokerState | undefined {
    const row = this.#rows.get(node);
    return row?.state === "shutdown" && row.process !== process ? "draining" : row?.state;
  }

  /** The row itself. */
  row(node: string): BrokerRow | undefined {
    return this.#rows.get(node);
  }

  read(rows: readonly BrokerRow[]): void {
    this.#rows.clear();
    for (const row of rows) this.#rows.set(row.node, row);
  }

  /** What the rows said when this process began: it has no work yet, and no lead. */
  begin(state: BrokerState): void {
    if (state === "active") return;
    this.#options.log.info("this node starts in the state that it was set to", { state });
    this.#state = state;
  }

  /** The order of a leader, or what the rows say of this node. One after another. */
  order(state: BrokerState): Promise<void> {
    return this.#turns.take(() => this.#enter(state));
  }

  /** A node that drains leads only while no other could. */
  onRoster(): void {
    if (this.#state !== "active" && this.#options.leads()) {
      void this.#turns.take(() => this.#stepDown());
    }
  }

  /** The process ends: hands over the lead, and takes no new work after that. */
  async leave(): Promise<void> {
    const { clock } = this.#options;
    // Where all end at once nobody takes the lead.
    const waiting = new AbortController();
    const late = clock.sleep(LEAVE_MS, waiting.signal).catch(() => {});
    await Promise.race([this.#turns.take(() => this.#stepDown()), late]);
    waiting.abort();
    this.#isLeaving = true;
  }

  async #enter(state: BrokerState): Promise<void> {
    if (state === this.#state || this.#isLeaving) return;
    const { log, onChange } = this.#options;
    log.info("this node changes its state", { from: this.#state, to: state });
    if (state !== "active") await this.#stepDown();
    this.#state = state;
    try {
      onChange(state);
    } catch (error) {
      // The order holds all the same, and what runs is still waited for.
      log.error("could not take up a state in full", { state, cause: describe(error) });
    }
    if (state === "retiring" || state === "shutdown") void this.#finish(state);
  }

  /** Whoever cannot hand over the lead drains all the same: others forward to it. */
  async #stepDown(): Promise<void> {
    try {
      await this.#options.stepDown();
    } catch (error) {
      this.#options.log.warn("could not hand over the lead", { cause: describe(error) });
    }
  }

  /** Waits for what runs, and no longer than a drain may take; a newer order makes it void. */
  async #finish(state: "retiring" | "shutdown"): Promise<void> {
    const { clock, log, running, leads, onRetire, onShutdown } = this.#options;
    const untilMs = clock.monotonicMs() + DRAIN_MS;
    const runs = () => running() > 0 && clock.monotonicMs() < untilMs;
    // Nobody else could lead: it waits for somebody.
    const mustLead = () => state === "retiring" && leads();
    while (this.#state === state && (runs() || mustLead())) await clock.sleep(LOOK_MS);
    if (this.#state !== state) return;
    if (state === "shutdown") return onShutdown();
    await onRetire().catch((error) =>
      log.warn("could not leave the roster in order", { cause: describe(error) })
    );
  }
}
