/**
 * A simulated cluster: some nodes with their processes, one bucket, one network, and what may happen
 * to them. Processes run the product's election and links; nothing here tells them who leads.
 */
import { join } from "node:path";
import { describe, Failure } from "../../src/base/failure.ts";
import type { Log } from "../../src/base/log.ts";
import type { Random } from "../../src/base/random.ts";
import type { Bucket } from "./simulated-bucket.ts";
import type { Timeline } from "./simulated-clock.ts";
import { SimulatedMember } from "./simulated-member.ts";
import { OPEN, SimulatedNetwork, type Way } from "./simulated-network.ts";
import type { SentRequest } from "./simulated-store.ts";
import type { Weather } from "./simulated-weather.ts";

export interface ClusterParts {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly bucket: Bucket;
  readonly weather: Weather;
  /** Of another cluster, on which this one is too. */
  readonly network?: SimulatedNetwork;
  readonly directory: string;
  readonly heartbeatMs: number;
  readonly staleMs: number;
  log(node: string): Log;
  onSent(request: SentRequest): void;
  onHeard(request: SentRequest, outcome: unknown): void;
  onEvent(member: SimulatedMember): void;
  /** A process has ended by itself; `conflict` where another one has its id. */
  onEnd?(process: string, error: unknown): void;
  /** What happens to nodes, for whoever reads it. */
  trace(what: string): void;
}

export interface NodeOptions {
  readonly zone?: string;
  readonly eligible?: boolean;
  readonly skewMs?: number;
}

interface Node {
  readonly name: string;
  readonly options: NodeOptions;
  member: SimulatedMember | null;
  starts: number;
}

/** What restarts a process waits so long. */
const RESTART_MS = 1_000;

export class SimulatedCluster {
  readonly network: SimulatedNetwork;
  readonly #parts: ClusterParts;
  readonly #nodes = new Map<string, Node>();

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.network = parts.network ?? new SimulatedNetwork();
  }

  get names(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  /** Processes that run, the paused ones too. */
  members(): SimulatedMember[] {
    return [...this.#nodes.values()].flatMap(({ member }) => member === null ? [] : [member]);
  }

  /** Its process; null while it has none. */
  member(node: string): SimulatedMember | null {
    return this.#nodes.get(node)?.member ?? null;
  }

  /** Those that believe to lead. */
  leaders(): SimulatedMember[] {
    return this.members().filter(({ leads, isServing }) => leads && isServing);
  }

  /** Starts the process of a node, again and again where it ends by itself. */
  start(node: string, options: NodeOptions = {}): void {
    const known = this.#nodes.get(node) ?? { name: node, options, member: null, starts: 0 };
    this.#nodes.set(node, known);
    if (known.member === null) this.#boot(known);
  }

  /** Its process is killed. */
  kill(node: string): void {
    const known = this.#nodes.get(node);
    if (!known?.member) return;
    known.member.crash();
    known.member = null;
  }

  pause(node: string): void {
    this.member(node)?.clock.pause();
  }

  resume(node: string): void {
    this.member(node)?.clock.resume();
  }

  /** The store hears nothing of the node and says nothing to it, whatever process it has. */
  cutOff(node: string): void {
    this.#parts.weather.cutOff.add(node);
  }

  reconnect(node: string): void {
    this.#parts.weather.cutOff.delete(node);
  }

  /** What is between a node and each of the others from now on; seen from the node. */
  setAll(node: string, way: Way): void {
    for (const other of this.names) if (other !== node) this.network.set(node, other, way);
  }

  /** Everybody is awake, runs and hears everybody, and the store. */
  heal(): void {
    const { weather } = this.#parts;
    weather.cutOff.clear();
    for (const one of this.names) {
      for (const two of this.names) if (one < two) this.network.set(one, two, OPEN);
      this.resume(one);
      this.start(one);
    }
  }

  close(): void {
    for (const node of this.names) this.kill(node);
  }

  #boot(node: Node): void {
    const { timeline, random, bucket, weather, directory, trace } = this.#parts;
    const { heartbeatMs, staleMs, log, onSent, onHeard, onEvent } = this.#parts;
    const name = `${node.name}.${++node.starts}`;
    trace(`${name} starts`);
    const member: SimulatedMember = new SimulatedMember({
      timeline,
      random,
      bucket,
      network: this.network,
      node: node.name,
      name,
      directory: join(directory, name),
      skewMs: 0,
      lookMs: 0,
      slowReadsPercent: 0,
      snapshotAgeMsMax: Number.MAX_SAFE_INTEGER,
      heartbeatMs,
      staleMs,
      log: log(node.name),
      ...node.options,
      pageKeys: () => 1_000,
      fate: (operation) => weather.fate(operation, node.name),
      onRead: (_, bytes) => bytes,
      onSent,
      onHeard,
      onEvent,
      crashesAt: () => false,
      onExit: (_, why) => this.#ended(node, member, new Failure("conflict", why)),
    });
    node.member = member;
    member.start().catch((error) => this.#ended(node, member, error));
  }

  /** A process that ended by itself is started again, as an operator's machine does it. */
  #ended(node: Node, member: SimulatedMember, error: unknown): void {
    if (node.member !== member) return;
    this.#parts.onEnd?.(member.name, error);
    this.#parts.trace(`${member.name} ends: ${describe(error)}`);
    this.kill(node.name);
    this.#parts.timeline.schedule(RESTART_MS, () => this.start(node.name));
  }
}
