/**
 * The simulated world: some nodes, one bucket, clients, bad weather, in one thread, and all of it
 * from one seed. After every event what nodes believe is held against what happened; at the end the
 * weather clears, somebody leads, and everybody must agree.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog, type Log } from "../../src/base/log.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { Replica } from "../../src/replica/replica.ts";
import { Bucket } from "./simulated-bucket.ts";
import { Checks } from "./simulated-checks.ts";
import { Clients } from "./simulated-clients.ts";
import { SimulatedClock, Timeline, WORLD_BEGAN_MS } from "./simulated-clock.ts";
import { Damages } from "./simulated-damage.ts";
import { History } from "./simulated-history.ts";
import { Nodes } from "./simulated-nodes.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { SentRequest } from "./simulated-store.ts";
import { Weather } from "./simulated-weather.ts";
import { WritesInFlight } from "./simulated-writes.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes?: number;
  /** How long things go wrong, and then how long they do not. */
  readonly roughMs?: number;
  readonly isCalm?: boolean;
  /** Prints everything that happens. */
  readonly isLoud?: boolean;
}

export interface Report {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly simulatedMs: number;
  readonly events: number;
  readonly epochs: number;
  readonly claims: number;
  readonly faults: number;
  readonly crashes: number;
  readonly pauses: number;
  readonly pruned: number;
  readonly strays: number;
  readonly acknowledged: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** The same for the same seed. */
  readonly hash: string;
}

const DATABASES = ["a", "b"];
const CALM_MS = 90_000;
const EVENTS_MAX = 3_000_000;

export class World {
  readonly timeline = new Timeline();
  readonly random: Random;
  readonly bucket: Bucket;
  readonly weather: Weather;
  readonly damages: Damages;
  readonly history = new History();
  readonly violations: string[] = [];
  readonly nodes: Nodes;
  readonly clients: Clients;
  readonly directory: string;
  readonly #options: WorldOptions;
  readonly #writes: WritesInFlight;
  readonly #checks: Checks;
  #touched: SimulatedProcess | null = null;
  #hash = 0n;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.directory = mkdtempSync(join(shared(), "headgate-world-"));
    const { timeline, random } = this;
    const violated = (invariant: string, what: string) => this.violated(invariant, what);
    const trace = (what: string) => this.trace(what);
    const clock = new SimulatedClock(timeline);
    this.bucket = new Bucket(clock, violated, trace);
    const isCalm = options.isCalm ?? false;
    this.weather = new Weather(random, {
      faultsPerMille: isCalm ? 0 : [5, 20, 60, 150][random.below(4)] ?? 20,
      slowCreatesPercent: isCalm ? 0 : [0, 30][random.below(2)] ?? 0,
      latencyMsMax: [10, 60, 300][random.below(3)] ?? 60,
      lateMsMax: 60_000,
    });
    this.damages = new Damages(random, isCalm ? 0 : [0, 10][random.below(2)] ?? 0);
    this.#writes = new WritesInFlight(violated);
    const pageKeys = [2, 7, 100, 1_000][random.below(4)] ?? 1_000;
    this.nodes = new Nodes(
      {
        timeline,
        random,
        bucket: this.bucket,
        weather: this.weather,
        directory: this.directory,
        count: options.nodes ?? 2 + random.below(3),
        retentionMs: 22_000 + random.below(20_000),
        snapshotAgeMsMax: 5_000 + random.below(30_000),
        log: this.#log(),
        pageKeys: () => pageKeys,
        fate: (operation, _, sender) => this.weather.fate(operation, sender),
        onRead: (key, bytes, sender) => this.damages.read(sender, key, bytes, this.nowMs),
        onSent: (request) => this.#sent(request),
        onHeard: (request, outcome) => this.#heard(request, outcome),
        onEvent: (process) => this.#touched = process,
        crashesAt: () => !isCalm && random.below(400) === 0,
        trace,
        violated,
      },
      isCalm ? null : {
        everyMs: 3_000 + random.below(15_000),
        needlessClaims: [100, 25, 6][random.below(3)] ?? 25,
      },
    );
    this.#checks = new Checks({
      bucket: this.bucket,
      violated,
      running: () => this.nodes.running(),
      pass: (ms) => this.pass(ms),
    });
    this.clients = new Clients({
      timeline,
      random,
      bucket: this.bucket,
      history: this.history,
      violated,
      someProcess: () => this.nodes.some(),
      someOwner: (database) => this.nodes.owner(database),
      processOf: (address) => this.nodes.at(address),
      databases: DATABASES,
      trace,
    }, {
      thinkMs: 200 + random.below(1_500),
      proofsPercent: [0, 50][random.below(2)] ?? 0,
      adminPerMille: isCalm ? 0 : random.below(15),
    });
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  violated(invariant: string, what: string): void {
    this.trace(`VIOLATED [${invariant}] ${what}`);
    if (this.violations.length < 20) {
      this.violations.push(`[${invariant}] ${what} (at ${this.nowMs.toFixed(1)} ms)`);
    }
  }

  trace(what: string): void {
    const line = `${this.nowMs.toFixed(3)} ${what}`;
    this.#hash = Bun.hash.xxHash64(line, this.#hash);
    if (this.#options.isLoud) console.log(line);
  }

  /** Lets `ms` pass, or less if something is found to be wrong. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    let isOver = false;
    this.timeline.schedule(ms, () => isOver = true);
    while (!isOver && this.violations.length === 0 && this.nowMs <= untilMs) {
      this.#touched = null;
      if (!this.timeline.step()) return;
      if (this.#touched) this.#checks.process(this.#touched);
      if (this.timeline.events > EVENTS_MAX) {
        return this.violated("liveness", `${EVENTS_MAX} events and no end`);
      }
    }
  }

  /** The whole story of one seed. */
  run(): Report {
    try {
      this.nodes.start();
      this.clients.start(2 + this.random.below(4));
      this.pass(this.#options.roughMs ?? 60_000 + this.random.below(120_000));
      if (this.violations.length === 0) this.calmDown();
      if (this.violations.length === 0) this.#checks.end(DATABASES);
      if (this.violations.length === 0) {
        this.history.check(this.bucket.chains.values(), (invariant, what) => {
          this.violated(invariant, what);
        });
      }
      return this.report();
    } finally {
      this.close();
    }
  }

  /** Faults stop; what is under way comes to its end; one node leads and all follow it. */
  calmDown(): void {
    this.clients.stop();
    this.weather.options = { faultsPerMille: 0, latencyMsMax: 20, lateMsMax: 0 };
    this.damages.perMille = 0;
    this.nodes.calm();
    this.pass(CALM_MS);
    if (this.violations.length > 0) return;
    // One more epoch of each database, for all to follow.
    this.nodes.isOver = true;
    const leader = this.nodes.leader();
    if (!leader) return this.violated("liveness", "nobody leads when all is calm");
    let isWritten = false;
    void Promise.all(leader.catalog.replicas().map((replica) => this.#lastWrite(leader, replica)))
      .then(() => isWritten = true);
    this.pass(40_000);
    if (!isWritten) this.violated("liveness", "the last writes do not come to an end");
    if (this.clients.pending > 0) {
      this.violated("I8", `${this.clients.pending} clients were never answered`);
    }
  }

  /** Tries on: whoever believed to be the owner learns by it that it is not. */
  async #lastWrite(leader: SimulatedProcess, replica: Replica): Promise<void> {
    const sql = "PRAGMA user_version = 1";
    for (let attempt = 1; !replica.dropped; attempt++) {
      const deadlineMs = leader.clock.monotonicMs() + 5_000;
      const request = { statements: [{ sql }], subject: "world", deadlineMs, trusted: true };
      try {
        await replica.execute(request);
        return;
      } catch (error) {
        this.trace(`${leader.name} cannot write to ${replica.name}: ${error}`);
        if (attempt === 5) {
          return this.violated("liveness", `nobody can write to ${replica.name}: ${error}`);
        }
        await leader.clock.sleep(1_000);
      }
    }
  }

  close(): void {
    this.nodes.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  report(): Report {
    const chains = [...this.bucket.chains.values()];
    const sum = (of: (chain: (typeof chains)[number]) => number) =>
      chains.reduce((total, chain) => total + of(chain), 0);
    return {
      seed: this.#options.seed,
      violations: this.violations,
      simulatedMs: this.nowMs,
      events: this.timeline.events,
      epochs: sum((chain) => chain.tip),
      claims: sum((chain) => chain.claims.length),
      faults: this.weather.faultsTotal + this.damages.count,
      crashes: this.nodes.crashes,
      pauses: this.nodes.pauses,
      pruned: this.nodes.pruned,
      strays: sum((chain) => chain.strays),
      acknowledged: this.history.acknowledged,
      outcomes: Object.fromEntries(this.clients.outcomes),
      hash: this.#hash.toString(16),
    };
  }

  #log(): Log {
    return createLog({
      level: "debug",
      format: "text",
      nowMs: () => WORLD_BEGAN_MS + this.nowMs,
      write: (line) => {
        if (this.#options.isLoud) console.log(`    ${line}`);
      },
    });
  }

  #sent(request: SentRequest): void {
    this.trace(`${request.sender} sends ${request.operation} ${request.key}`);
    this.#writes.sent(request);
    if (request.operation === "create") this.damages.wrote(request.sender, request.key);
  }

  #heard(request: SentRequest, outcome: unknown): void {
    const what = typeof outcome === "string" ? outcome : outcome === null ? "nothing" : "it";
    this.trace(`${request.sender} hears ${request.operation} ${request.key} ${what}`);
    this.#writes.heard(request, outcome);
  }
}

/** Memory where there is some. */
export function shared(): string {
  try {
    mkdirSync("/dev/shm", { recursive: true });
    return "/dev/shm";
  } catch {
    return tmpdir();
  }
}
