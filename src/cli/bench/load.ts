/**
 * Two ways to load a server. The closed loop keeps a number of requests under way and finds out
 * how fast the server can go. The open loop sends at a fixed rate whatever the server does, and
 * counts a latency from the moment at which the request was due, not from when it got its turn:
 * otherwise a server that stalls would be measured only by the few requests it let through
 * ("coordinated omission").
 */
import type { Clock } from "../../base/clock.ts";
import { Failure } from "../../base/failure.ts";
import { connectH2 } from "./h2-client.ts";
import type { H2Connection } from "./h2-connection.ts";
import { type LoadResult, Tally } from "./tally.ts";
import type { Workload } from "./workload.ts";

export interface LoadOptions {
  readonly clock: Clock;
  readonly workload: Workload;
  readonly connections: number;
  /** Requests under way at the most. */
  readonly concurrency: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Requests a second; the closed loop where it is absent. */
  readonly ratePerS?: number;
  /** CPU time of this process so far. */
  readonly cpuMs: () => number;
  readonly ca?: string;
}

/** How long answers are awaited after the end. */
const DRAIN_MS = 15_000;
const RECONNECT_MS = 100;
/** The open loop looks this often for requests that have become due. */
const TICK_MS = 1;

/** Runs once against `url`. Throws `unavailable` when no connection can be made at the start. */
export async function runLoad(url: URL, options: LoadOptions): Promise<LoadResult> {
  const load = new Load(url, options);
  await load.connect();
  return await load.run();
}

class Load {
  readonly #url: URL;
  readonly #options: LoadOptions;
  readonly #clock: Clock;
  readonly #tally = new Tally();
  readonly #body: Uint8Array;
  /** One place a connection; null while it is being made anew. */
  readonly #connections: (H2Connection | null)[];
  /** Every connection that may still answer, those that the server is leaving included. */
  #known: H2Connection[] = [];
  #underWay = 0;
  /** Requests under way that one connection may have. */
  readonly #share: number;
  readonly #open: boolean;
  readonly #intervalMs: number;
  #turn = 0;
  #sequence = 0;
  /** All other moments are counted from this one. */
  #startMs = 0;
  readonly #endMs: number;
  #state: "idle" | "running" | "draining" | "done" = "idle";
  #wake: () => void = () => {};

  constructor(url: URL, options: LoadOptions) {
    this.#url = url;
    this.#options = options;
    this.#clock = options.clock;
    this.#body = new Uint8Array(options.workload.bodyBytesMax);
    this.#connections = new Array<H2Connection | null>(options.connections).fill(null);
    this.#share = Math.ceil(options.concurrency / options.connections);
    this.#open = options.ratePerS !== undefined;
    this.#endMs = options.warmupMs + options.durationMs;
    this.#intervalMs = 1000 / (options.ratePerS ?? 1);
  }

  async connect(): Promise<void> {
    await Promise.all(this.#connections.map((_, index) => this.#join(index)));
  }

  async run(): Promise<LoadResult> {
    const { warmupMs, durationMs, cpuMs } = this.#options;
    this.#startMs = this.#clock.monotonicMs();
    this.#state = "running";
    if (this.#open) this.#tick();
    else this.#connections.forEach((_, index) => this.#refill(index));
    await this.#clock.sleep(warmupMs);
    const cpuBefore = cpuMs();
    await this.#clock.sleep(Math.max(0, this.#endMs - this.#nowMs()));
    const cpu = cpuMs() - cpuBefore;
    this.#state = "draining";
    await this.#drained();
    this.#state = "done";
    this.#tally.unsent(this.#due(this.#endMs) - this.#sequence);
    for (const connection of this.#known) connection.end("no answer before the run ended");
    return this.#tally.result(durationMs, cpu);
  }

  async #join(index: number): Promise<void> {
    const { clock, ca } = this.#options;
    const connection = await connectH2(this.#url, {
      clock,
      ...(ca === undefined ? {} : { ca }),
      handlers: {
        onAnswer: (tag, status, body) => this.#onAnswer(index, tag, status, body),
        onFailure: (_, reason, processed) => this.#onFailure(index, reason, processed),
        onGone: () => this.#onGone(index),
      },
    });
    this.#connections[index] = connection;
    this.#known = [...this.#known.filter(({ isFinished }) => !isFinished), connection];
  }

  #onAnswer(index: number, tagMs: number, status: number, body: Uint8Array | null): void {
    const nowMs = this.#nowMs();
    this.#underWay--;
    if (status >= 200 && status < 300) {
      this.#tally.acknowledged++;
      // An open-loop request belongs to the moment it was due, a closed-loop one to its answer.
      const atMs = this.#open ? tagMs : nowMs;
      const { warmupMs } = this.#options;
      if (atMs >= warmupMs && atMs < this.#endMs) {
        this.#tally.measured(nowMs - tagMs, (atMs - warmupMs) / 1000);
      }
    } else {
      this.#tally.refused(status, body);
    }
    this.#next(index, nowMs);
  }

  #onFailure(index: number, reason: string, processed: boolean): void {
    this.#underWay--;
    this.#tally.lost(reason, processed);
    this.#next(index, this.#nowMs());
  }

  /** A stream has become free. The connection flushes after it has read all that came. */
  #next(index: number, nowMs: number): void {
    const connection = this.#connections[index];
    if (this.#open) {
      if (connection && this.#sequence < this.#due(nowMs)) this.#sendDue(connection, nowMs);
    } else if (this.#state === "running" && connection && connection.inFlight < this.#share) {
      this.#send(connection, nowMs);
    }
    if (this.#state === "draining") this.#wake();
  }

  #onGone(index: number): void {
    this.#connections[index] = null;
    if (this.#state === "done") return;
    this.#clock.after(RECONNECT_MS, () => {
      if (this.#state === "done") return;
      this.#join(index).then(
        () => this.#state === "done" ? this.#connections[index]?.end("") : this.#refill(index),
        (error: unknown) => {
          if (!(error instanceof Failure)) throw error;
          this.#onGone(index);
        },
      );
    });
  }

  /** Closed loop: as many requests under way as the connection's share. */
  #refill(index: number): void {
    const connection = this.#connections[index];
    if (!connection || this.#open || this.#state !== "running") return;
    const nowMs = this.#nowMs();
    while (connection.inFlight < this.#share && this.#send(connection, nowMs)) { /* all */ }
    connection.flush();
  }

  /** Open loop: all that has become due goes to one connection, and the next tick to the next. */
  #tick(): void {
    const nowMs = this.#nowMs();
    for (let tried = 0; tried < this.#connections.length; tried++) {
      if (this.#sequence >= this.#due(nowMs)) break;
      const connection = this.#connections[this.#turn];
      this.#turn = (this.#turn + 1) % this.#connections.length;
      if (!connection) continue;
      this.#sendDue(connection, nowMs);
      connection.flush();
    }
    if (this.#state === "running" || this.#sequence < this.#due(nowMs)) {
      if (this.#state !== "done") this.#clock.after(TICK_MS, () => this.#tick());
    }
  }

  #sendDue(connection: H2Connection, nowMs: number): void {
    const due = this.#due(nowMs);
    while (this.#sequence < due && connection.inFlight < this.#share) {
      const dueMs = this.#sequence * this.#intervalMs;
      if (!this.#send(connection, dueMs)) return;
      this.#tally.lateMsMax = Math.max(this.#tally.lateMsMax, nowMs - dueMs);
    }
  }

  #nowMs(): number {
    return this.#clock.monotonicMs() - this.#startMs;
  }

  /** Requests that an open loop should have sent by `nowMs`; none of a closed loop. */
  #due(nowMs: number): number {
    if (!this.#open) return 0;
    // The small term keeps a sum of binary fractions from adding a request to the whole.
    return Math.ceil(Math.min(nowMs, this.#endMs) / this.#intervalMs - 1e-6);
  }

  #send(connection: H2Connection, tagMs: number): boolean {
    if (connection.room === 0) return false;
    const { block, body } = this.#options.workload;
    connection.send(block, this.#body, body(this.#body, this.#sequence), tagMs);
    this.#sequence++;
    this.#underWay++;
    return true;
  }

  /** Resolves when nothing is under way any more, or after `DRAIN_MS`. */
  #drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(DRAIN_MS, resolve);
    this.#wake = () => {
      if (this.#underWay > 0 || this.#sequence < this.#due(this.#endMs)) return;
      cancel();
      resolve();
    };
    this.#wake();
    return promise;
  }
}
