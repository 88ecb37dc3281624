/**
 * A stage for stories of a cluster: real elections over a simulated network, where what happens to
 * nodes is written down beforehand, and what they make of it is told in plain text.
 */
import { drainMicrotasks } from "bun:jsc";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, isFailure } from "../../src/base/failure.ts";
import { seededRandom } from "../../src/base/random.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import { Bucket } from "./simulated-bucket.ts";
import { SimulatedClock, Timeline } from "./simulated-clock.ts";
import { type NodeOptions, SimulatedCluster } from "./simulated-cluster.ts";
import type { SimulatedMember } from "./simulated-member.ts";
import { OPEN, type SimulatedNetwork, type Way } from "./simulated-network.ts";
import { type Fate, Weather } from "./simulated-weather.ts";
import { heardOfStore, sentToStore, tellingLog } from "./story-teller.ts";
import { Transcript } from "./transcript.ts";

export class ClusterStage {
  readonly #timeline = new Timeline();
  readonly #directory = mkdtempSync(join(tmpdir(), "headgate-stage-"));
  readonly #random = seededRandom(1);
  readonly #weather = new Weather(this.#random, {
    faultsPerMille: 0,
    latencyMsMax: 20,
    lateMsMax: 0,
  });
  readonly #transcript: Transcript;
  readonly #bucket: Bucket;
  readonly #cluster: SimulatedCluster;
  /** Clusters on copies of the bucket, by the name of their only node. */
  readonly #copies = new Map<string, SimulatedCluster>();
  #writes = 0;
  readonly violations: string[] = [];

  constructor(title: string, moral: readonly string[]) {
    this.#transcript = new Transcript(title, moral, () => this.#timeline.nowMs);
    this.#bucket = this.#newBucket();
    this.#cluster = this.#newCluster(this.#bucket);
  }

  get text(): string {
    return this.#transcript.text;
  }

  /** A cluster that the first leads and the others have links in; nobody hears of how. */
  found(first: string, others: Readonly<Record<string, NodeOptions>>): void {
    this.#transcript.quietly(() => {
      this.#cluster.start(first);
      this.#pass(2_000);
      for (const [node, options] of Object.entries(others)) this.#cluster.start(node, options);
      // Until the leader's heartbeat has its idle rhythm.
      this.#pass(70_000);
    });
    const names = Object.keys(others).join(" and ");
    this.note(`${first} leads; ${names} ${names.includes(" ") ? "have links" : "has a link"}.`);
    this.#transcript.beginNow();
  }

  start(node: string): void {
    this.#tell(`${node} starts`);
    this.#cluster.start(node);
  }

  kill(node: string): void {
    this.#tell(`${node} is killed`);
    this.#cluster.kill(node);
  }

  sleep(node: string): void {
    this.#tell(`${node} falls asleep`);
    this.#cluster.pause(node);
  }

  wake(node: string): void {
    this.#tell(`${node} wakes`);
    this.#cluster.resume(node);
  }

  cutOff(node: string): void {
    this.#tell(`${node} cannot reach the store any more`);
    this.#cluster.cutOff(node);
  }

  reconnect(node: string): void {
    this.#tell(`${node} reaches the store again`);
    this.#cluster.reconnect(node);
  }

  /** What is between two nodes from now on. */
  between(one: string, two: string, what: "open" | "silent" | "refusing"): void {
    this.#tell(`the way between ${one} and ${two} is ${what}`);
    this.#cluster.network.set(one, two, WAYS[what]);
  }

  /** What is between a node and all others. */
  around(node: string, what: "open" | "silent" | "refusing"): void {
    this.#tell(`the way between ${node} and everybody is ${what}`);
    this.#cluster.setAll(node, WAYS[what]);
  }

  /** What becomes of the next object that the node creates. */
  plan(node: string, fate: Fate): void {
    this.#weather.planned.set(node, [fate]);
  }

  /** Something is written to `system` by whoever leads; nobody waits for it. */
  write(node: string): void {
    const { catalog, clock } = this.#member(node);
    const request = {
      statements: [{ sql: `PRAGMA user_version = ${++this.#writes}` }],
      subject: "story",
      deadlineMs: clock.monotonicMs() + 30_000,
      trusted: true,
    };
    catalog.system.replica.execute(request).catch(() => {});
    drainMicrotasks();
  }

  /** As many writes to `system` as there is time for. */
  writeAllTheTime(node: string, ms: number): void {
    const member = this.#member(node);
    for (let passed = 0; passed < ms; passed++) {
      if (member.leads) this.write(node);
      this.#pass(1);
    }
  }

  stepDown(node: string, preferred?: string): void {
    const { leadership } = this.#member(node).membership;
    leadership.stepDown(preferred).then(
      ({ to, ms }) => this.#tell(`${node} has handed over to ${to} within ${ms} ms`),
      (error) => this.#tell(`${node} could not hand over: ${told(error)}`),
    );
    drainMicrotasks();
  }

  /** A node with a copy of the bucket, its secret included, on the same network. */
  startOnCopy(node: string): void {
    this.#tell(`${node} starts, on a copy of the bucket with the same secret`);
    const bucket = this.#newBucket();
    this.#await(copyOf(this.#bucket, bucket));
    const cluster = this.#newCluster(bucket, this.#cluster.network);
    this.#copies.set(node, cluster);
    cluster.start(node);
  }

  /** Who believes to lead, who has a link to whom, and every claim there was. */
  sum(): void {
    const members = [this.#cluster, ...this.#copies.values()].flatMap((one) => one.members());
    for (const { node, leads, leader } of members) {
      const what = leads ? "leads" : leader === null ? "has no link" : `has a link to ${leader}`;
      this.#tell(`${node} ${what}`);
    }
    this.#tell(`claims of system: epochs ${this.#bucket.chain(SYSTEM_DATABASE).claims.join(", ")}`);
  }

  pass(ms: number): void {
    this.#pass(ms);
  }

  note(text: string): void {
    this.#transcript.note(text);
  }

  close(): void {
    for (const cluster of [this.#cluster, ...this.#copies.values()]) cluster.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #newBucket(): Bucket {
    return new Bucket(
      new SimulatedClock(this.#timeline),
      (invariant, what) => void this.violations.push(`[${invariant}] ${what}`),
      (what) => this.#applied(what),
    );
  }

  #newCluster(bucket: Bucket, network?: SimulatedNetwork): SimulatedCluster {
    const tell = (line: string | null) => {
      if (line !== null) this.#tell(line);
    };
    return new SimulatedCluster({
      timeline: this.#timeline,
      random: this.#random,
      bucket,
      weather: this.#weather,
      ...(network && { network }),
      directory: this.#directory,
      heartbeatMs: 30_000,
      staleMs: 120_000,
      log: (node) => tellingLog(node, tell),
      onSent: (request) => tell(sentToStore(request)),
      onHeard: (request, outcome) => tell(heardOfStore(request, outcome)),
      onEvent: () => {},
      trace: (what) => {
        if (what.includes(" ends: ")) this.#tell(what);
      },
    });
  }

  /** What arrives when its sender is gone is told by the store. */
  #applied(what: string): void {
    const [sender = "", operation, key = "", outcome] = what.split(" ");
    const node = sender.split(".")[0] ?? "";
    if (operation !== "create" || !key.includes("/system/0000/")) return;
    if (!this.#cluster.names.includes(node) || this.#cluster.member(node)) return;
    this.#tell(`${node}'s last request arrives: ${outcome}`);
  }

  #member(node: string): SimulatedMember {
    const member = this.#cluster.member(node);
    if (!member) throw new Error(`there is no ${node} on the stage`);
    return member;
  }

  #pass(ms: number): void {
    let isOver = false;
    this.#timeline.schedule(ms, () => isOver = true);
    while (!isOver && this.#timeline.step());
  }

  #await(work: Promise<unknown>): void {
    let isOver = false;
    work.finally(() => isOver = true);
    drainMicrotasks();
    while (!isOver && this.#timeline.step());
  }

  #tell(line: string): void {
    this.#transcript.tell(line);
  }
}

const WAYS: Readonly<Record<"open" | "silent" | "refusing", Way>> = {
  open: OPEN,
  silent: { ...OPEN, isSilent: [true, true] },
  refusing: { ...OPEN, isRefusing: true },
};

/** Object by object, in the order of their keys: so chains are made as they were. */
async function copyOf(from: Bucket, to: Bucket): Promise<void> {
  const { objects } = await from.memory.list("");
  for (const { key } of objects) {
    const stored = await from.memory.get(key);
    if (stored) await to.create(key, stored.bytes, { sender: "copy", isFile: false });
  }
}

function told(error: unknown): string {
  return isFailure(error) ? `${error.kind}: ${describe(error)}` : `bug: ${error}`;
}
