/**
 * What a state means for this node: its port takes work or does not, its file and its link say so, and
 * a node that retires leaves the roster. `broker-states.ts` says when.
 */
import { describe, type Failure } from "../base/failure.ts";
import type { BrokerState } from "../members/roster.ts";
import { BrokerStates } from "./broker-states.ts";
import type { Catalog } from "./catalog.ts";
import type { Identity } from "./identity.ts";
import type { Membership } from "./membership.ts";
import type { NodeParts } from "./node-parts.ts";
import { Retirement } from "./retirement.ts";

export interface OwnStateOptions {
  readonly parts: NodeParts;
  readonly identity: Pick<Identity, "id" | "nonce">;
  readonly catalog: Catalog;
  membership(): Membership;
  /** This node's own in `cluster_state/brokers/`. */
  readonly file: { write(): Promise<void>; remove(): Promise<void> };
  /** What this node says of itself has changed. */
  onChange(): void;
  onReplaced(failure: Failure): void;
}

export class OwnState {
  readonly states: BrokerStates;
  readonly #options: OwnStateOptions;
  readonly #retirement: Retirement;

  constructor(options: OwnStateOptions) {
    this.#options = options;
    const { parts, membership, file } = options;
    const { clock, log } = parts;
    this.states = new BrokerStates({
      clock,
      log,
      running: parts.running,
      leads: () => membership().leadership.claim !== null,
      stepDown: async () => {
        const { leadership } = membership();
        if (leadership.hasSuccessor) await leadership.stepDown();
      },
      onChange: (state) => this.#changed(state),
      onRetire: () => this.#retirement.leave(),
      onShutdown: () => parts.shutDown(),
    });
    this.#retirement = new Retirement({
      clock,
      log,
      desired: () => this.read(),
      onRecalled: (state) => void this.states.order(state),
      file,
      membership: { retire: () => membership().retire(), join: () => membership().join() },
      onReplaced: options.onReplaced,
    });
  }

  /** This node is in no roster, and its file is not to be written. */
  get isAway(): boolean {
    return this.#retirement.isAway;
  }

  /** Reads the rows of `system`; resolves with what they want of this process. */
  async read(): Promise<BrokerState | undefined> {
    const { catalog, identity } = this.#options;
    this.states.read(await catalog.system.database.brokers());
    return this.states.desired(identity.id, identity.nonce);
  }

  /** Takes the state that the rows say, before anybody is told of this node; writes its file. */
  async begin(): Promise<void> {
    const state = await this.read() ?? "active";
    this.states.begin(state);
    if (state !== "active") this.#options.parts.onState(state);
    if (state === "retiring") this.#retirement.begin();
    else await this.#options.file.write();
  }

  /** The process ends: resolves when the lead is handed over and no new work is taken. */
  async leave(): Promise<void> {
    await this.states.leave();
    this.#options.onChange();
    // Nobody is to hand the lead over to it.
    this.#options.membership().links.reportNow();
  }

  close(): void {
    this.#retirement.close();
  }

  #changed(state: BrokerState): void {
    const { parts, membership, file, onChange } = this.#options;
    parts.onState(state);
    onChange();
    membership().links.reportNow();
    if (this.isAway) {
      // One that is to end needs no place in the roster for that.
      if (state !== "shutdown") void this.#retirement.end();
      return;
    }
    void file.write().catch((error) =>
      parts.log.warn("could not write the broker file", { cause: describe(error) })
    );
  }
}
