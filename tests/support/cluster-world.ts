/**
 * The cluster in a world that does not behave, from one seed: real elections over a network that is
 * silent, refuses and is slow, nodes that die and sleep and lose the store, clients that write at any
 * node. Then all is calm, and within a minute one node leads and all agree with it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isFailure } from "../../src/base/failure.ts";
import { createLog, type Log } from "../../src/base/log.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import { claimsMax, isOne, notOne, whoAsks } from "./cluster-calm.ts";
import { Mishaps } from "./cluster-mishaps.ts";
import { Bucket } from "./simulated-bucket.ts";
import { Checks } from "./simulated-checks.ts";
import { Clients } from "./simulated-clients.ts";
import { SimulatedClock, Timeline, WORLD_BEGAN_MS } from "./simulated-clock.ts";
import { type NodeOptions, SimulatedCluster } from "./simulated-cluster.ts";
import { History } from "./simulated-history.ts";
import type { RunningProcess } from "./simulated-machine.ts";
import type { SimulatedMember } from "./simulated-member.ts";
import type { SentRequest } from "./simulated-store.ts";
import { Weather } from "./simulated-weather.ts";
import { WritesInFlight } from "./simulated-writes.ts";
import { type Report, shared } from "./world.ts";

export interface ClusterWorldOptions {
  readonly seed: number;
  /** How long things go wrong, and then how long they do not. */
  readonly roughMs?: number;
  readonly isCalm?: boolean;
  /** Prints everything that happens. */
  readonly isLoud?: boolean;
}

const DATABASES = ["a", "b"];
/** From the end of all mishaps on. */
const ELECTED_MS_MAX = 60_000;
const QUIET_MS = 30_000;
const EVENTS_MAX = 3_000_000;

export class ClusterWorld {
  readonly timeline = new Timeline();
  readonly random: Random;
  readonly history = new History();
  readonly violations: string[] = [];
  readonly cluster: SimulatedCluster;
  readonly #options: ClusterWorldOptions;
  readonly #bucket: Bucket;
  readonly #weather: Weather;
  readonly #directory: string;
  readonly #writes: WritesInFlight;
  readonly #checks: Checks;
  readonly #clients: Clients;
  /** Requests to the store by node, since all was calm. */
  readonly #requests = new Map<string, string[]>();
  #mishaps: Mishaps | null = null;
  #touched: SimulatedMember | null = null;
  #hash = 0n;

  constructor(options: ClusterWorldOptions) {
    this.#options = options;
    const random = this.random = seededRandom(options.seed);
    this.#directory = mkdtempSync(join(shared(), "headgate-cluster-"));
    const { timeline } = this;
    const violated = (invariant: string, what: string) => this.violated(invariant, what);
    const trace = (what: string) => this.trace(what);
    this.#bucket = new Bucket(new SimulatedClock(timeline), violated, trace);
    this.#weather = new Weather(random, {
      faultsPerMille: options.isCalm ? 0 : [0, 2, 10][random.below(3)] ?? 0,
      latencyMsMax: [10, 60, 200][random.below(3)] ?? 60,
      lateMsMax: 20_000,
    });
    this.#writes = new WritesInFlight(violated);
    this.cluster = new SimulatedCluster({
      timeline,
      random,
      bucket: this.#bucket,
      weather: this.#weather,
      directory: this.#directory,
      heartbeatMs: 30_000,
      staleMs: 120_000,
      log: (node) => this.#log(node),
      onSent: (request) => this.#sent(request),
      onHeard: (request, outcome) => this.#heard(request, outcome),
      onEvent: (member) => this.#touched = member,
      onEnd: (process, error) => {
        // A start without the store may fail; what is fenced goes on (I8).
        if (isFailure(error, "unavailable", "uncertain")) return;
        violated("I8", `${process} ended by itself: ${error}`);
      },
      trace,
    });
    this.#checks = new Checks({
      bucket: this.#bucket,
      violated,
      running: () => this.cluster.members(),
      pass: (ms) => this.pass(ms),
    });
    this.#clients = new Clients({
      timeline,
      random,
      bucket: this.#bucket,
      history: this.history,
      violated,
      someProcess: () => this.#some(({ isServing }) => isServing),
      someOwner: (database) =>
        this.#some(({ catalog }) => catalog.peek(database)?.state === "owning"),
      processOf: (address) =>
        this.cluster.members().find(({ node }) => address === `http://${node}`) ?? null,
      databases: DATABASES,
      trace,
    }, {
      thinkMs: random.below(4) === 0 ? 50 : 200 + random.below(1_000),
      proofsPercent: random.below(30),
      adminPerMille: 0,
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
      const { random, timeline, cluster } = this;
      const count = 3 + (random.below(4) === 0 ? random.below(3) : 0);
      for (let node = 1; node <= count; node++) {
        const options = this.#nodeOptions(node);
        timeline.schedule(random.below(1_000), () => cluster.start(`n${node}`, options));
      }
      this.pass(5_000);
      this.#clients.start(2 + random.below(3));
      const trace = (what: string) => this.trace(what);
      const violated = (invariant: string, what: string) => this.violated(invariant, what);
      const everyMs = 4_000 + random.below(20_000);
      if (!this.#options.isCalm) {
        this.#mishaps = new Mishaps({ timeline, random, cluster, everyMs, trace, violated });
      }
      this.pass(this.#options.roughMs ?? 60_000 + random.below(120_000));
      if (this.violations.length === 0) this.#calmDown();
      if (this.violations.length === 0) this.#checkEnd();
      return this.report();
    } finally {
      this.cluster.close();
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  report(): Report {
    const chains = [...this.#bucket.chains.values()];
    const sum = (of: (chain: (typeof chains)[number]) => number) =>
      chains.reduce((total, chain) => total + of(chain), 0);
    const { counts } = this.#mishaps ?? { counts: new Map<string, number>() };
    return {
      seed: this.#options.seed,
      violations: this.violations,
      simulatedMs: this.nowMs,
      events: this.timeline.events,
      epochs: sum(({ tip }) => tip),
      claims: this.#claims,
      faults: this.#mishaps?.total ?? 0,
      crashes: (counts.get("kill") ?? 0) + (counts.get("leave") ?? 0),
      pauses: counts.get("pause") ?? 0,
      pruned: 0,
      strays: sum(({ strays }) => strays),
      acknowledged: this.history.acknowledged,
      outcomes: Object.fromEntries(this.#clients.outcomes),
      hash: this.#hash.toString(16),
    };
  }

  get #claims(): number {
    return this.#bucket.chain(SYSTEM_DATABASE).claims.length;
  }

  /** Clocks are wrong, zones differ, and one in a while may not lead. */
  #nodeOptions(node: number): NodeOptions {
    const { random } = this;
    return {
      skewMs: random.below(3) === 0 ? random.below(7_200_000) - 3_600_000 : 0,
      zone: ["a", "b"][random.below(2)] ?? "a",
      eligible: node < 3 || random.below(4) > 0,
    };
  }

  /** Mishaps end. One node leads, all others have a link to it, and then nothing changes. */
  #calmDown(): void {
    const { cluster } = this;
    this.trace("all is calm");
    this.#mishaps?.stop();
    this.#weather.options = { faultsPerMille: 0, latencyMsMax: 20, lateMsMax: 0 };
    cluster.heal();
    const fromMs = this.nowMs;
    while (!isOne(cluster) && this.violations.length === 0) {
      if (this.nowMs - fromMs > ELECTED_MS_MAX) return this.violated("liveness", notOne(cluster));
      this.pass(500);
    }
    this.trace("one leads");
    this.#clients.stop();
    this.pass(QUIET_MS);
    const claims = this.#claims;
    this.#requests.clear();
    this.pass(QUIET_MS);
    if (this.violations.length > 0) return;
    if (!isOne(cluster)) return this.violated("liveness", notOne(cluster));
    if (this.#claims !== claims) {
      this.violated("liveness", `${this.#claims - claims} claims though all was calm`);
    }
    if (this.#clients.pending > 0) {
      this.violated("I8", `${this.#clients.pending} clients were never answered`);
    }
    for (const [member, asked] of whoAsks(cluster, this.#requests)) {
      this.violated("section 6", `${member} has a link and asks the store: ${asked}`);
    }
    const most = claimsMax(cluster.names.length, this.#mishaps?.total ?? 0);
    if (this.#claims > most) {
      this.violated("section 8", `${this.#claims} claims; at most ${most} have a reason`);
    }
  }

  #checkEnd(): void {
    this.#checks.end(DATABASES);
    if (this.violations.length > 0) return;
    this.history.check(this.#bucket.chains.values(), (invariant, what) => {
      this.violated(invariant, what);
    });
  }

  #some(of: (member: SimulatedMember) => boolean): RunningProcess | null {
    const ready = this.cluster.members().filter((one) =>
      one.isServing && !one.clock.isPaused && of(one)
    );
    return ready[this.random.below(Math.max(1, ready.length))] ?? null;
  }

  #log(node: string): Log {
    return createLog({
      level: "debug",
      format: "text",
      nowMs: () => WORLD_BEGAN_MS + this.nowMs,
      write: (line) => {
        if (this.#options.isLoud) console.log(`    ${node} ${line}`);
      },
    });
  }

  #sent(request: SentRequest): void {
    const { sender, operation, key } = request;
    this.trace(`${sender} sends ${operation} ${key}`);
    this.#requests.set(sender, [...this.#requests.get(sender) ?? [], `${operation} ${key}`]);
    this.#writes.sent(request);
  }

  #heard(request: SentRequest, outcome: unknown): void {
    const what = typeof outcome === "string" ? outcome : outcome === null ? "nothing" : "it";
    this.trace(`${request.sender} hears ${request.operation} ${request.key} ${what}`);
    this.#writes.heard(request, outcome);
  }
}
