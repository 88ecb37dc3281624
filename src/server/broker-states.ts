/**
 * The states that operators want nodes in: rows in `system`, which the leader sends to whom they
 * concern and which outlive leaders and restarts; and this node's own state, which follows them.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { DRAIN_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { BrokerState } from "../members/roster.ts";

export interface BrokerStatesOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Hands the lead to somebody who can take it, if this node has it; resolves when it has not. */
  stepDown(): Promise<void>;
  /** Requests that are being answered. */
  running(): number;
  /** Takes no new work, or takes it again. */
  onChange(state: BrokerState): void;
  /** The process is to end, with exit code 0. */
  onShutdown(): void;
}

export class BrokerStates {
  readonly #options: BrokerStatesOptions;
  readonly #desired = new Map<string, BrokerState>();
  #state: BrokerState = "active";
  #turn: Promise<void> = Promise.resolve();

  constructor(options: BrokerStatesOptions) {
    this.#options = options;
  }

  /** This node's own. */
  get state(): BrokerState {
    return this.#state;
  }

  /** What the rows of `system` say of a node, as the leader knows them. */
  desired(node: string): BrokerState | undefined {
    return this.#desired.get(node);
  }

  read(rows: readonly { readonly node: string; readonly state: BrokerState }[]): void {
    this.#desired.clear();
    for (const { node, state } of rows) this.#desired.set(node, state);
  }

  /** The order of a leader, or what the rows say of this node when it leads. One after another. */
  order(state: BrokerState): Promise<void> {
    this.#turn = this.#turn.then(() => this.#enter(state)).catch((error) =>
      this.#options.log.warn("could not change this node's state", {
        state,
        cause: describe(error),
      })
    );
    return this.#turn;
  }

  async #enter(state: BrokerState): Promise<void> {
    if (state === this.#state) return;
    const { log, stepDown, onChange, onShutdown } = this.#options;
    log.info("this node changes its state", { from: this.#state, to: state });
    if (state !== "active") await stepDown();
    this.#state = state;
    onChange(state);
    if (state !== "shutdown") return;
    await this.#finish();
    onShutdown();
  }

  /** Waits for what runs, and no longer than a drain may take. */
  async #finish(): Promise<void> {
    const { clock, running } = this.#options;
    const untilMs = clock.monotonicMs() + DRAIN_MS;
    while (running() > 0 && clock.monotonicMs() < untilMs) await clock.sleep(LOOK_MS);
  }
}

const LOOK_MS = 50;
