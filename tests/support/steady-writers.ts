/**
 * Clients that write at a steady rate whatever becomes of the nodes, and note when each write was
 * acknowledged. Each has a home and writes there; after anything but a success it moves on to the
 * next node, as a client with a list of addresses does. Every second one sends with an idempotency
 * key, again and again until it is certain.
 */
import type { Client } from "./client.ts";
import type { History } from "./history.ts";
import type { NodeProcess } from "./node-process.ts";

export interface SteadyOptions {
  /** All clients together, while nothing is in their way. */
  readonly writesASecond: number;
  readonly clients: number;
  readonly timeoutMs: number;
  /** Number of the first one in the history; its rows are its own. */
  readonly firstClient?: number;
  readonly token?: string;
}

export interface Acknowledged {
  readonly id: string;
  /** Wall time: all is on one machine. */
  readonly atMs: number;
}

/** Connections to one node that its clients share. */
const CONNECTIONS = 4;
/** After a refusal, before the next node is asked. */
const REFUSED_PAUSE_MS = 20;

export class SteadyWriters {
  readonly #nodes: readonly NodeProcess[];
  readonly #history: History;
  readonly #options: SteadyOptions;
  readonly #connections: Client[][];
  readonly #running: Promise<void>[];
  readonly #acknowledged: Acknowledged[] = [];
  #isOver = false;

  constructor(nodes: readonly NodeProcess[], history: History, options: SteadyOptions) {
    this.#nodes = nodes;
    this.#history = history;
    this.#options = options;
    this.#connections = nodes.map((node) =>
      Array.from({ length: CONNECTIONS }, () => node.client(options.token))
    );
    this.#running = Array.from({ length: options.clients }, (_, index) => this.#write(index));
  }

  /** Those of the acknowledged writes since `sinceMs`, in order of time. */
  acknowledged(sinceMs: number): readonly Acknowledged[] {
    let from = this.#acknowledged.length;
    while (from > 0 && this.#acknowledged[from - 1]!.atMs >= sinceMs) from--;
    return this.#acknowledged.slice(from);
  }

  /** The longest time between `sinceMs` and the acknowledgements since; Infinity without any. */
  longestGapMs(sinceMs: number): number {
    const times = [sinceMs, ...this.acknowledged(sinceMs).map(({ atMs }) => atMs)];
    if (times.length < 2) return Infinity;
    return Math.max(...times.slice(1).map((atMs, index) => atMs - times[index]!));
  }

  /** Resolves when the last write of each has its answer. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
    for (const client of this.#connections.flat()) client.close();
  }

  async #write(index: number): Promise<void> {
    const { writesASecond, clients, timeoutMs, firstClient = 0 } = this.#options;
    const everyMs = clients / writesASecond * 1_000;
    const client = firstClient + index;
    const hasKey = index % 2 === 0;
    let at = index % this.#nodes.length;
    let dueMs = performance.now() + index / clients * everyMs;
    for (let number = 1; !this.#isOver; number++) {
      await Bun.sleep(Math.max(0, dueMs - performance.now()));
      const write = { client, number, ...(hasKey ? { key: `${client}-${number}` } : {}) };
      while (true) {
        const connection = this.#connections[at]![index % CONNECTIONS]!;
        const outcome = await this.#history.write(connection, write, { timeout_ms: timeoutMs });
        if (outcome === "acknowledged") {
          this.#acknowledged.push({ id: `${client}/${number}`, atMs: now() });
          break;
        }
        at = (at + 1) % this.#nodes.length;
        await Bun.sleep(REFUSED_PAUSE_MS);
        if (!hasKey || this.#isOver) break;
      }
      // What a pause cost is not made up for.
      dueMs = Math.max(dueMs + everyMs, performance.now());
    }
  }
}

/** Wall time of this machine with fractions of a millisecond. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
