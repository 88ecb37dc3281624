/** The one bucket of the world: the reference store, watched by somebody who sees everything. */
import type { Clock } from "../../src/base/clock.ts";
import { parseObjectKey } from "../../src/epoch/key.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { SimulatedChain } from "./simulated-chain.ts";

/** Says that an invariant does not hold. */
export type Violated = (invariant: string, what: string) => void;

export interface CreateFacts {
  readonly sender: string;
  readonly isFile: boolean;
}

export class Bucket {
  readonly memory: MemoryStore;
  readonly chains = new Map<string, SimulatedChain>();
  readonly #violated: Violated;
  readonly #onApplied: (what: string) => void;
  readonly #nowMs: () => number;

  /** `onApplied` hears of each change in the moment it is made. */
  constructor(clock: Clock, violated: Violated, onApplied: (what: string) => void) {
    this.memory = new MemoryStore(clock, "simulated:");
    this.#violated = violated;
    this.#onApplied = onApplied;
    this.#nowMs = () => clock.monotonicMs();
  }

  chain(name: string): SimulatedChain {
    let chain = this.chains.get(name);
    if (!chain) this.chains.set(name, chain = new SimulatedChain(name, this.#violated));
    return chain;
  }

  async create(key: string, bytes: Uint8Array, facts: CreateFacts): Promise<"created" | "exists"> {
    const outcome = await this.memory.create(key, bytes);
    this.#onApplied(`${facts.sender} create ${key} ${outcome}`);
    const name = parseObjectKey("s3", key);
    if (outcome === "created" && name) {
      const chain = this.chain(name.database);
      chain.created(name, bytes, { ...facts, atMs: this.#nowMs() });
    }
    return outcome;
  }

  async remove(keys: readonly string[], sender: string): Promise<void> {
    this.#onApplied(`${sender} remove ${keys.length} ${keys[0] ?? ""}`);
    const touched = new Set<SimulatedChain>();
    for (const key of keys) {
      const name = parseObjectKey("s3", key);
      const held = name && await this.memory.get(key);
      if (!name || !held) continue;
      const chain = this.chain(name.database);
      chain.removed(name, held.bytes);
      touched.add(chain);
    }
    await this.memory.remove(keys);
    for (const chain of touched) chain.checkRestorable();
  }
}
