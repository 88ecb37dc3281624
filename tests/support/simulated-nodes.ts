/**
 * The machines of the world: processes start, claim when they believe that they should, sleep, lose
 * the bucket, crash and come back empty. Who claims when is left to chance: it must always be safe.
 */
import { join } from "node:path";
import { isFailure } from "../../src/base/failure.ts";
import type { Random } from "../../src/base/random.ts";
import type { Replica } from "../../src/replica/replica.ts";
import type { Timeline } from "./simulated-clock.ts";
import { type ProcessOptions, SimulatedProcess } from "./simulated-process.ts";
import type { Weather } from "./simulated-weather.ts";

export interface NodesOptions extends
  Omit<
    ProcessOptions,
    "node" | "name" | "directory" | "skewMs" | "lookMs" | "slowReadsPercent"
  > {
  readonly directory: string;
  readonly weather: Weather;
  readonly count: number;
  trace(what: string): void;
  violated(invariant: string, what: string): void;
}

interface Machine {
  readonly node: string;
  readonly skewMs: number;
  readonly lookMs: number;
  process: SimulatedProcess | null;
  starts: number;
  isClaiming: boolean;
  isPruning: boolean;
}

export interface Chaos {
  /** Mean time between two mishaps of any kind. */
  readonly everyMs: number;
  /** One look in so many makes a node claim although somebody leads. */
  readonly needlessClaims: number;
}

export class Nodes {
  readonly #options: NodesOptions;
  readonly #machines: Machine[];
  readonly #random: Random;
  readonly #timeline: Timeline;
  /** Null in calm: then one machine leads, and nobody takes it from it. */
  chaos: Chaos | null;
  /** Nobody prunes any more: that writes to `system`, and all are to come to the same end. */
  isOver = false;
  crashes = 0;
  pauses = 0;
  pruned = 0;

  constructor(options: NodesOptions, chaos: Chaos | null) {
    this.#options = options;
    this.#random = options.random;
    this.#timeline = options.timeline;
    this.chaos = chaos;
    this.#machines = Array.from({ length: options.count }, (_, index) => ({
      node: `n${index + 1}`,
      skewMs: this.#random.below(3) === 0 ? this.#random.below(600_000) - 300_000 : 0,
      lookMs: this.#random.below(2) === 0 ? 0 : 2,
      process: null,
      starts: 0,
      isClaiming: false,
      isPruning: false,
    }));
  }

  start(): void {
    for (const machine of this.#machines) {
      this.#later(0, 500, () => this.#boot(machine));
      this.#each(machine, 500, 2_500, () => this.#mayClaim(machine));
      this.#each(machine, 4_000, 6_000, () => machine.process?.refresh());
      this.#each(machine, 2_000, 10_000, () => this.#prune(machine));
      this.#each(machine, 3_000, 9_000, () => machine.process?.heartbeat());
    }
    this.#mishaps();
  }

  /** Processes that run, the paused ones too. */
  running(): SimulatedProcess[] {
    return this.#machines.flatMap(({ process }) => process === null ? [] : [process]);
  }

  /** A process that takes requests. */
  some(): SimulatedProcess | null {
    const ready = this.running().filter((process) => process.isServing);
    return ready[this.#random.below(Math.max(1, ready.length))] ?? null;
  }

  owner(database: string): SimulatedProcess | null {
    const owners = this.running().filter(({ catalog }) =>
      catalog.peek(database)?.state === "owning"
    );
    return owners[this.#random.below(Math.max(1, owners.length))] ?? null;
  }

  at(address: string): SimulatedProcess | null {
    return this.running().find((process) => address === `http://${process.node}`) ?? null;
  }

  leader(): SimulatedProcess | null {
    return this.running().find((process) => process.isServing && process.leads) ?? null;
  }

  /** Everybody is awake and connected from now on, and nothing else happens to them. */
  calm(): void {
    this.chaos = null;
    this.#options.weather.cutOff.clear();
    for (const { process } of this.#machines) process?.clock.resume();
  }

  /** Ends all; their files are closed. */
  close(): void {
    for (const machine of this.#machines) this.#crash(machine, null);
  }

  crash(process: SimulatedProcess, restartMs: number | null): void {
    const machine = this.#machines.find((candidate) => candidate.process === process);
    if (machine) this.#crash(machine, restartMs);
  }

  #boot(machine: Machine): void {
    if (machine.process) return;
    machine.starts++;
    const name = `${machine.node}.${machine.starts}`;
    this.#options.trace(`${name} starts`);
    const { crashesAt } = this.#options;
    const process = machine.process = new SimulatedProcess({
      ...this.#options,
      node: machine.node,
      name,
      directory: join(this.#options.directory, name),
      skewMs: machine.skewMs,
      lookMs: machine.lookMs,
      slowReadsPercent: this.#random.below(3) === 0 ? 4 : 0,
      crashesAt: (dying, step) => {
        if (!this.chaos || !crashesAt(dying, step)) return false;
        this.#options.trace(`${name} dies at ${step}`);
        this.crash(dying, this.#between(500, 15_000));
        return true;
      },
    });
    const attempt = () => {
      process.start().catch((error) => {
        this.#failed(`${name} cannot start`, error);
        process.clock.after(1_000, attempt);
      });
    };
    attempt();
  }

  #crash(machine: Machine, restartMs: number | null): void {
    const { process } = machine;
    if (!process) return;
    machine.process = null;
    machine.isClaiming = machine.isPruning = false;
    process.crash();
    this.crashes++;
    if (restartMs !== null) this.#later(restartMs, restartMs, () => this.#boot(machine));
  }

  /** Whoever sees no leader claims soon; now and then somebody claims without need. */
  #mayClaim(machine: Machine): void {
    const { process } = machine;
    if (!process?.isServing || process.leads || machine.isClaiming) return;
    const leader = this.leader();
    const isAlive = leader && !leader.clock.isPaused &&
      !this.#options.weather.cutOff.has(leader.name);
    const believes = !isAlive
      ? this.#random.below(this.chaos ? 3 : this.#machines.length) === 0
      : this.chaos !== null && this.#random.below(this.chaos.needlessClaims) === 0;
    if (believes) this.#claim(machine);
  }

  #claim(machine: Machine): void {
    const { process } = machine;
    if (!process?.isServing || process.leads || machine.isClaiming) return;
    machine.isClaiming = true;
    this.#options.trace(`${process.name} claims`);
    const done = (what: unknown) => {
      if (process.clock.isStopped) return;
      machine.isClaiming = false;
      this.#options.trace(`${process.name} claimed: ${what}`);
    };
    process.lead().then(done, (error) => {
      this.#failed(`${process.name} cannot claim`, error);
      done("failed");
    });
  }

  #prune(machine: Machine): void {
    const { process } = machine;
    if (this.isOver || !process?.isServing || !process.leads || machine.isPruning) return;
    machine.isPruning = true;
    const prune = async () => void (this.pruned += await process.retention.prune());
    prune().catch((error) => this.#failed(`${process.name} cannot prune`, error))
      .finally(() => {
        if (!process.clock.isStopped) machine.isPruning = false;
      });
  }

  #mishaps(): void {
    const { chaos } = this;
    if (!chaos) return;
    this.#later(0, 2 * chaos.everyMs, () => {
      if (!this.chaos) return;
      const machine = this.#machines[this.#random.below(this.#machines.length)];
      if (machine) this.#mishap(machine);
      this.#mishaps();
    });
  }

  #mishap(machine: Machine): void {
    const { process } = machine;
    if (!process) return;
    const { trace, weather, retentionMs } = this.#options;
    const choice = this.#random.below(100);
    if (choice < 30) {
      const restartMs = this.#between(200, 20_000);
      trace(`${process.name} crashes`);
      this.#crash(machine, restartMs);
    } else if (choice < 60) {
      const isLong = this.#random.below(3) === 0;
      const pauseMs = isLong
        ? this.#between(retentionMs, 3 * retentionMs)
        : this.#between(1, 8_000);
      trace(`${process.name} sleeps for ${pauseMs} ms`);
      this.pauses++;
      process.clock.pause();
      this.#later(pauseMs, pauseMs, () => {
        trace(`${process.name} wakes`);
        process.clock.resume();
        // Whoever slept that long has heard of nobody.
        if (isLong && this.chaos) this.#claim(machine);
      });
    } else if (choice < 75) {
      const cutMs = this.#between(100, 30_000);
      trace(`${process.name} is cut off for ${cutMs} ms`);
      weather.cutOff.add(process.name);
      this.#later(cutMs, cutMs, () => weather.cutOff.delete(process.name));
    } else if (choice < 90) {
      trace(`${process.name} loses a child`);
      process.children.killOne(this.#random);
    } else this.#snapshot(process);
  }

  #snapshot(process: SimulatedProcess): void {
    if (!process.isServing) return;
    const owned: Replica[] = process.catalog.replicas().filter(({ state }) => state === "owning");
    const replica = owned[this.#random.below(Math.max(1, owned.length))];
    if (!replica) return;
    this.#options.trace(`${process.name} snapshots ${replica.name}`);
    replica.snapshotNow().catch((error) => {
      this.#failed(`${process.name} cannot write a snapshot`, error);
    });
  }

  /** What a failure says may happen; anything else is a bug. */
  #failed(what: string, error: unknown): void {
    if (isFailure(error)) return this.#options.trace(`${what}: ${error.kind}`);
    const stack = error instanceof Error ? error.stack : error;
    this.#options.violated("bug", `${what}: ${stack}`);
  }

  #each(machine: Machine, fromMs: number, toMs: number, work: () => unknown): void {
    this.#later(fromMs, toMs, () => {
      const clock = machine.process?.clock;
      if (clock && !clock.isPaused) {
        const result = work();
        if (result instanceof Promise) result.catch((error) => this.#failed("cannot", error));
      }
      this.#each(machine, fromMs, toMs, work);
    });
  }

  #later(fromMs: number, toMs: number, run: () => void): void {
    this.#timeline.schedule(this.#between(fromMs, toMs), run);
  }

  #between(fromMs: number, toMs: number): number {
    return fromMs + this.#random.below(Math.max(1, Math.floor(toMs - fromMs)));
  }
}
