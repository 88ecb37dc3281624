/** A simulated cluster in which nothing goes wrong but what a test does to it. */
import { drainMicrotasks } from "bun:jsc";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { seededRandom } from "../../src/base/random.ts";
import { Bucket } from "./simulated-bucket.ts";
import { SimulatedClock, Timeline } from "./simulated-clock.ts";
import { type NodeOptions, SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedMember } from "./simulated-member.ts";
import { Weather } from "./simulated-weather.ts";

export class QuietCluster {
  readonly #directory = mkdtempSync(join(tmpdir(), "headgate-quiet-"));
  readonly timeline = new Timeline();
  readonly weather: Weather;
  readonly bucket: Bucket;
  readonly cluster: SimulatedCluster;
  /** "n1 create cluster_state/cluster.json", in the order of sending. */
  readonly sent: string[] = [];

  constructor() {
    const { timeline } = this;
    const random = seededRandom(5);
    this.weather = new Weather(random, { faultsPerMille: 0, latencyMsMax: 10, lateMsMax: 0 });
    this.bucket = new Bucket(new SimulatedClock(timeline), (invariant, what) => {
      throw new Error(`[${invariant}] ${what}`);
    }, () => {});
    this.cluster = new SimulatedCluster({
      timeline,
      random,
      bucket: this.bucket,
      weather: this.weather,
      directory: this.#directory,
      heartbeatMs: 30_000,
      staleMs: 120_000,
      log: () => silentLog,
      onSent: ({ sender, operation, key }) => this.sent.push(`${sender} ${operation} ${key}`),
      onHeard: () => {},
      onEvent: () => {},
      trace: () => {},
    });
  }

  /** The first one leads, the others have links. */
  found(first: string, others: Readonly<Record<string, NodeOptions>>): void {
    this.cluster.start(first);
    this.pass(1_000);
    for (const [node, options] of Object.entries(others)) this.cluster.start(node, options);
    this.pass(2_000);
  }

  member(node: string): SimulatedMember {
    const member = this.cluster.member(node);
    if (!member) throw new Error(`there is no ${node}`);
    return member;
  }

  pass(ms: number): void {
    let isOver = false;
    this.timeline.schedule(ms, () => isOver = true);
    drainMicrotasks();
    while (!isOver && this.timeline.step());
  }

  /** Lets time pass until the promise is settled. */
  settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = () => void (isSettled = true);
    promise.then(settled, settled);
    drainMicrotasks();
    while (!isSettled && this.timeline.step());
    return promise;
  }

  execute(node: string, sql: string, timeoutMs = 5_000) {
    const { clock, databases } = this.member(node);
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const request = { statements: [{ sql }], subject: "ann", deadlineMs };
    return this.settle(databases.execute("orders", request));
  }

  create(): Promise<unknown> {
    const [leader] = this.cluster.leaders();
    return this.settle(leader!.databases.create("orders", { pageSize: 512 }));
  }

  close(): void {
    this.cluster.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
