/**
 * A node for tests of routes: it keeps names of databases and the requests it was given, and answers
 * what the test says. It executes no SQL.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "../../src/base/failure.ts";
import type { WriteRequest } from "../../src/database/statement.ts";
import type {
  BrokerState,
  Cluster,
  ClusterStatus,
  DatabaseInfo,
  Databases,
  ExportedFile,
  HandOver,
  HeadgateNode,
  Moment,
  QueryAnswer,
  QueryRequest,
  Readiness,
  TextAnswer,
} from "../../src/http/node.ts";
import { MemoryAccess } from "./memory-access.ts";
import { MemoryLakes } from "./memory-lakes.ts";

export interface Seen {
  readonly call: string;
  readonly database: string;
  readonly argument: unknown;
}

export class MemoryNode implements HeadgateNode, Databases, Cluster {
  readonly id = "node-1";
  readonly databases: Databases = this;
  readonly cluster: Cluster = this;
  readonly access = new MemoryAccess();
  readonly memoryLakes = new MemoryLakes();
  readonly lakes: HeadgateNode["lakes"] = this.memoryLakes.port;
  readonly watchers = new Set<() => void>();
  isDraining = false;
  readonly seen: Seen[] = [];
  readonly #names = new Map<string, DatabaseInfo>();
  readonly #directory = mkdtempSync(join(tmpdir(), "headgate-routes-"));
  /** Files that were handed out and not yet given back. */
  open = 0;
  isReady = true;
  /** Thrown, if set, by the next call. */
  failure: unknown = null;
  executeText = '{"results":[{"rows_affected":1,"last_insert_id":7}],"epoch":12}';
  queryText = '{"columns":["id"],"rows":[[1]],"epoch":11}';
  /** Bytes of the next query's answer as a file; null for text. */
  spoolBytes: number | null = null;
  /** What `status` says instead of what it would. */
  said: Partial<ClusterStatus> = {};

  systemEpoch(): number {
    return 5;
  }

  metrics(): string {
    return "# HELP headgate_up 1\n# TYPE headgate_up gauge\nheadgate_up 1\n";
  }

  ready(): Readiness {
    const reasons = this.isReady ? [] : ["starting"];
    return { ready: this.isReady, role: "leader", head: 5, store: "ok", state: "active", reasons };
  }

  status(): ClusterStatus {
    this.#note("status", "", null);
    return {
      cluster: "c",
      leader: { id: this.id, address: "http://127.0.0.1:8080" },
      term: 1,
      epoch: 5,
      nodes: [],
      breaker: { state: "closed" },
      price_month_usd: 0.1,
      ...this.said,
    };
  }

  watch(onChange: () => void): () => void {
    this.watchers.add(onChange);
    return () => void this.watchers.delete(onChange);
  }

  setBroker(node: string, state: BrokerState): Promise<{ readonly epoch: number }> {
    this.#note("setBroker", node, state);
    return Promise.resolve({ epoch: 6 });
  }

  stepDown(preferred?: string): Promise<HandOver> {
    this.#note("stepDown", "", preferred);
    return Promise.resolve({ from: this.id, to: preferred ?? "node-2", ms: 12 });
  }

  list(): Promise<readonly DatabaseInfo[]> {
    this.#note("list", "", null);
    return Promise.resolve([...this.#names.values()]);
  }

  create(name: string, options: { readonly pageSize?: number }): Promise<DatabaseInfo> {
    this.#note("create", name, options);
    if (this.#names.has(name)) throw new Failure("conflict", `There is a database ${name} already`);
    const info: DatabaseInfo = {
      name,
      page_size: options.pageSize ?? 4096,
      head: 1,
      tip: 1,
      checksum: "0123456789abcdef",
      size_bytes: 4096,
      owner: this.id,
      created_at: "2026-01-01T00:00:00.000Z",
      snapshot: 0,
      state: "owning",
    };
    this.#names.set(name, info);
    return Promise.resolve(info);
  }

  inspect(name: string): Promise<DatabaseInfo> {
    this.#note("inspect", name, null);
    return Promise.resolve(this.#existing(name));
  }

  drop(name: string): Promise<{ epoch: number }> {
    this.#note("drop", name, null);
    this.#existing(name);
    this.#names.delete(name);
    return Promise.resolve({ epoch: 9 });
  }

  execute(name: string, request: WriteRequest): Promise<TextAnswer> {
    this.#note("execute", name, request);
    return Promise.resolve({ text: this.executeText, epoch: 12 });
  }

  query(name: string, request: QueryRequest): Promise<QueryAnswer> {
    this.#note("query", name, request);
    if (this.spoolBytes === null) return Promise.resolve({ text: this.queryText, epoch: 11 });
    return Promise.resolve(this.#file("x".repeat(this.spoolBytes), 11));
  }

  export(name: string, at: Moment): Promise<ExportedFile> {
    this.#note("export", name, at);
    return Promise.resolve(this.#file("SQLite format 3\0".repeat(1000), 4));
  }

  rollback(name: string, at: Moment): Promise<{ epoch: number }> {
    this.#note("rollback", name, at);
    return Promise.resolve({ epoch: 13 });
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #existing(name: string): DatabaseInfo {
    const info = this.#names.get(name);
    if (!info) throw new Failure("missing", `There is no database ${name}`);
    return info;
  }

  #file(text: string, epoch: number): ExportedFile {
    const path = join(this.#directory, `file-${this.seen.length}`);
    writeFileSync(path, text);
    this.open += 1;
    const done = () => {
      this.open -= 1;
      rmSync(path);
    };
    return { path, size: text.length, epoch, done };
  }

  #note(call: string, database: string, argument: unknown): void {
    this.seen.push({ call, database, argument });
    const { failure } = this;
    this.failure = null;
    if (failure !== null) throw failure;
  }
}
