/**
 * Queries over lakes at one node: a few run at the same time, each in a child process, some wait,
 * and the rest hear `busy`. Children start at first use and end when nobody needs them.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { Failure } from "../../base/failure.ts";
import {
  LAKE_QUERIES_MAX,
  LAKE_QUERIES_WAITING_MAX,
  LAKE_QUERY_BYTES_MAX,
  LAKE_QUERY_IDLE_BYTES_MAX,
  LAKE_QUERY_RESULT_BYTES_MAX,
  LAKE_QUERY_THREADS,
} from "../../base/lake-limits.ts";
import { CHILD_IDLE_MS } from "../../base/limits.ts";
import type { Children } from "../../database/child.ts";
import { nodeCloses, tooManyWait } from "../../database/read-failures.ts";
import { Inspection } from "./inspection.ts";
import type { LakeAnswer, LakeQuery, QueryFormat, TableName } from "./lake-query.ts";
import type { QueryOrder } from "./message.ts";
import type { NativeBinding } from "./native-binding.ts";
import { clientGone, pastDeadline } from "./query-failure.ts";
import { QueryProcess } from "./query-process.ts";
import { RunningQuery } from "./running-query.ts";

export interface LakeQueriesOptions {
  readonly children: Children;
  readonly clock: Clock;
  /** For children and what they load; made if need be, removed by `close`. This object's alone. */
  readonly folder: string;
  readonly binding: NativeBinding;
  readonly queriesMax?: number;
  readonly waitingMax?: number;
  /** Of DuckDB, each query. */
  readonly memoryBytesMax?: number;
  readonly resultBytesMax?: number;
  readonly threads?: number;
  readonly idleMs?: number;
}

const CONTENT_TYPES: Readonly<Record<QueryFormat, string>> = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  csv: "text/csv; charset=utf-8; header=present",
  arrow: "application/vnd.apache.arrow.stream",
  parquet: "application/vnd.apache.parquet",
};

/** What a query needs to wait for a child. */
type Wanted = Pick<LakeQuery, "deadlineMs" | "signal"> & { readonly sinceMs: number };

interface Waiting {
  readonly take: (process: QueryProcess) => void;
  readonly fail: (failure: Failure) => void;
}

export class LakeQueries {
  readonly #options: LakeQueriesOptions;
  readonly #processes = new Set<QueryProcess>();
  /** Processes without a query, and what cancels their end. */
  readonly #idle = new Map<QueryProcess, () => void>();
  readonly #waiting = new Set<Waiting>();
  readonly #running = new Set<RunningQuery | Inspection>();
  #folders = 0;
  #closed = false;

  constructor(options: LakeQueriesOptions) {
    this.#options = options;
  }

  /**
   * Runs one statement. Rejects with `invalid`, `too_large` (memory, one row), `busy`, `corrupt` (a
   * file of the lake), or `unavailable` (deadline, the process has ended, no DuckDB in this build).
   */
  async query(query: LakeQuery): Promise<LakeAnswer> {
    const wanted = this.#wanted(query);
    const process = await this.#acquire(wanted);
    const running: RunningQuery = new RunningQuery(process, this.#order(query), {
      clock: this.#options.clock,
      deadlineMs: query.deadlineMs,
      sinceMs: wanted.sinceMs,
      onFree: () => {
        query.signal?.removeEventListener("abort", onAbort);
        this.#running.delete(running);
        this.#free(process);
      },
    });
    const onAbort = () => running.stop(clientGone());
    this.#running.add(running);
    query.signal?.addEventListener("abort", onAbort, { once: true });
    if (query.signal?.aborted) onAbort();
    await running.started;
    return { contentType: CONTENT_TYPES[query.format], body: running.body() };
  }

  /**
   * The tables that a statement names, so that only their files need be fetched; null when it asks
   * for the lake's tables as such. Names of common table expressions are among them. Rejects as
   * `query` does.
   */
  async inspect(
    query: Pick<LakeQuery, "sql" | "deadlineMs" | "signal">,
  ): Promise<readonly TableName[] | null> {
    const wanted = this.#wanted(query);
    const process = await this.#acquire(wanted);
    const inspection: Inspection = new Inspection(process, query.sql, {
      clock: this.#options.clock,
      ...wanted,
      onFree: () => {
        this.#running.delete(inspection);
        this.#free(process);
      },
    });
    this.#running.add(inspection);
    return inspection.tables;
  }

  /** Ends what runs; every client hears of it. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiting of this.#waiting) waiting.fail(nodeCloses());
    for (const running of this.#running) running.close();
    for (const process of this.#processes) process.kill();
    await Promise.all([...this.#processes].map((process) => process.exited));
    rmSync(this.#options.folder, { recursive: true, force: true });
  }

  #wanted({ deadlineMs, signal }: Pick<LakeQuery, "deadlineMs" | "signal">): Wanted {
    return {
      deadlineMs,
      sinceMs: this.#options.clock.monotonicMs(),
      ...(signal === undefined ? {} : { signal }),
    };
  }

  #order({ sql, params, tables, format }: LakeQuery): QueryOrder {
    const { memoryBytesMax, threads, resultBytesMax } = this.#options;
    return {
      sql,
      params: params ?? [],
      tables: tables.map(({ initialDefaults, ...table }) => ({
        ...table,
        initialDefaults: Object.fromEntries(initialDefaults ?? []),
      })),
      format,
      memoryBytesMax: memoryBytesMax ?? LAKE_QUERY_BYTES_MAX,
      threads: threads ?? LAKE_QUERY_THREADS,
      resultBytesMax: resultBytesMax ?? LAKE_QUERY_RESULT_BYTES_MAX,
    };
  }

  async #acquire(wanted: Wanted): Promise<QueryProcess> {
    if (this.#closed) throw nodeCloses();
    if (wanted.signal?.aborted) throw clientGone();
    mkdirSync(this.#options.folder, { recursive: true, mode: 0o700 });
    const binding = await this.#options.binding.path(this.#options.folder);
    if (this.#closed) throw nodeCloses();
    const [idle] = this.#idle.keys();
    if (idle !== undefined) return this.#reuse(idle);
    if (this.#processes.size < (this.#options.queriesMax ?? LAKE_QUERIES_MAX)) {
      return this.#start(binding);
    }
    return await this.#wait(wanted);
  }

  #start(binding: string | null): QueryProcess {
    const process: QueryProcess = new QueryProcess(this.#options.children, {
      folder: join(this.#options.folder, `child-${++this.#folders}`),
      binding,
      onExit: () => {
        this.#processes.delete(process);
        this.#idle.get(process)?.();
        this.#idle.delete(process);
        this.#replace(binding);
      },
    });
    this.#processes.add(process);
    return process;
  }

  /** A process has ended, so there is room for one. */
  #replace(binding: string | null): void {
    const [next] = this.#waiting;
    if (next === undefined || this.#closed) return;
    this.#waiting.delete(next);
    next.take(this.#start(binding));
  }

  #reuse(process: QueryProcess): QueryProcess {
    this.#idle.get(process)?.();
    this.#idle.delete(process);
    return process;
  }

  #wait({ deadlineMs, sinceMs, signal }: Wanted): Promise<QueryProcess> {
    if (this.#waiting.size >= (this.#options.waitingMax ?? LAKE_QUERIES_WAITING_MAX)) {
      throw tooManyWait(this.#waiting.size);
    }
    const { clock } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<QueryProcess>();
    const waiting: Waiting = {
      take: (process) => {
        leave();
        resolve(process);
      },
      fail: (failure) => {
        leave();
        reject(failure);
      },
    };
    const cancel = clock.after(
      Math.max(0, deadlineMs - clock.monotonicMs()),
      () => waiting.fail(pastDeadline(deadlineMs, sinceMs)),
    );
    const onAbort = () => waiting.fail(clientGone());
    const leave = () => {
      this.#waiting.delete(waiting);
      cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    this.#waiting.add(waiting);
    signal?.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** A query has left its process: to the next, to rest, or to its end. */
  #free(process: QueryProcess): void {
    if (!this.#processes.has(process) || this.#closed) return;
    if (process.isKilled || process.residentBytes() > LAKE_QUERY_IDLE_BYTES_MAX) {
      return process.kill();
    }
    const [next] = this.#waiting;
    if (next !== undefined) return next.take(process);
    const { clock, idleMs } = this.#options;
    const cancel = clock.after(idleMs ?? CHILD_IDLE_MS, () => {
      this.#idle.delete(process);
      process.kill();
    });
    this.#idle.set(process, cancel);
  }
}
