/** What goes wrong in a simulated cluster, by chance, and how it comes right again. */
import { isFailure } from "../../src/base/failure.ts";
import type { Random } from "../../src/base/random.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";
import type { Timeline } from "./simulated-clock.ts";
import { OPEN, type Way } from "./simulated-network.ts";

export interface MishapParts {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly cluster: SimulatedCluster;
  /** Mean time between two. */
  readonly everyMs: number;
  violated(invariant: string, what: string): void;
  trace(what: string): void;
}

export class Mishaps {
  readonly #parts: MishapParts;
  #isOpen = true;
  /** How many there were, by kind. */
  readonly counts = new Map<string, number>();

  constructor(parts: MishapParts) {
    this.#parts = parts;
    this.#next();
  }

  get total(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  stop(): void {
    this.#isOpen = false;
  }

  #next(): void {
    const { random, everyMs } = this.#parts;
    this.#later(random.below(2 * everyMs), () => {
      this.#one();
      this.#next();
    });
  }

  #one(): void {
    const { random, cluster } = this.#parts;
    const { names } = cluster;
    const leader = cluster.leaders()[0]?.node;
    const some = names[random.below(names.length)] ?? "";
    // Nobody notices much of what happens to a broker.
    const node = leader !== undefined && random.below(2) === 0 ? leader : some;
    const other = names.filter((name) => name !== node)[random.below(names.length - 1)] ?? "";
    const choice = random.below(100);
    if (choice < 25) return this.#kill(node);
    if (choice < 45) return this.#pause(node);
    if (choice < 55) return this.#cutOff(node);
    if (choice < 62) return this.#leave(node);
    this.#disturb(node, other);
  }

  #kill(node: string): void {
    const { cluster } = this.#parts;
    this.#tell("kill", `${node} is killed`);
    cluster.kill(node);
    this.#later(this.#between(50, 20_000), () => cluster.start(node), true);
  }

  #pause(node: string): void {
    const { cluster, random } = this.#parts;
    const ms = random.below(2) === 0 ? this.#between(100, 3_000) : this.#between(3_000, 30_000);
    this.#tell("pause", `${node} sleeps for ${ms} ms`);
    cluster.pause(node);
    this.#later(ms, () => cluster.resume(node), true);
  }

  #cutOff(node: string): void {
    const { cluster } = this.#parts;
    const ms = this.#between(500, 30_000);
    this.#tell("cut off", `${node} cannot reach the store for ${ms} ms`);
    cluster.cutOff(node);
    this.#later(ms, () => cluster.reconnect(node), true);
  }

  /** As on SIGTERM: hands over, ends in order, and comes back. */
  #leave(node: string): void {
    const { cluster, trace, violated } = this.#parts;
    const member = cluster.member(node);
    if (!member?.isServing || member.clock.isPaused) return;
    this.#tell("leave", `${node} leaves`);
    // The weather may be in its way; anything else is a bug.
    const failed = (error: unknown) => {
      if (!isFailure(error)) violated("I8", `${node} cannot leave: ${error}`);
      trace(`${node} cannot leave: ${error}`);
    };
    void member.leave()
      .catch(failed)
      .then(() => member.stop())
      .catch(failed)
      .then(() => {
        if (cluster.member(node) === member) cluster.kill(node);
        this.#later(this.#between(50, 5_000), () => cluster.start(node), true);
      });
  }

  /** Something is between two nodes, or between one and all others. */
  #disturb(node: string, other: string): void {
    const { cluster, random } = this.#parts;
    const [kind, way] = this.#way();
    const ms = this.#between(300, 40_000);
    const isAll = random.below(3) === 0;
    this.#tell(kind, `${node} and ${isAll ? "all" : other}: ${kind} for ${ms} ms`);
    const set = (how: Way) =>
      isAll ? cluster.setAll(node, how) : cluster.network.set(node, other, how);
    set(way);
    this.#later(ms, () => set(OPEN), true);
  }

  #way(): readonly [string, Way] {
    const { random } = this.#parts;
    switch (random.below(5)) {
      case 0:
        return ["refuse", { ...OPEN, isRefusing: true }];
      case 1:
        return ["one-way", { ...OPEN, isSilent: random.below(2) ? [true, false] : [false, true] }];
      case 2:
        return ["slow", { ...OPEN, delayMs: this.#between(20, 900) }];
      default:
        return ["silent", { ...OPEN, isSilent: [true, true] }];
    }
  }

  #tell(kind: string, what: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.#parts.trace(what);
  }

  /** `isRepair`: happens also when no more mishaps are to be; then it does nothing new. */
  #later(ms: number, run: () => void, isRepair = false): void {
    this.#parts.timeline.schedule(ms, () => {
      if (this.#isOpen || isRepair) run();
    });
  }

  #between(fromMs: number, toMs: number): number {
    return fromMs + this.#parts.random.below(toMs - fromMs);
  }
}
