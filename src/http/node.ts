/** What the HTTP routes need of a node. `server/` provides it; route tests provide their own. */
import type { Parameters, ReadRequest, WriteRequest } from "../database/statement.ts";
import type { Lakes } from "../lake/lakes.ts";
import type { Access } from "./access.ts";

export interface HeadgateNode {
  readonly id: string;
  readonly databases: Databases;
  readonly lakes: Pick<
    Lakes,
    | "list"
    | "create"
    | "drop"
    | "tables"
    | "table"
    | "createTable"
    | "changeColumns"
    | "dropTable"
    | "snapshots"
    | "enter"
    | "store"
    | "query"
    | "flush"
    | "merge"
    | "expire"
  >;
  readonly cluster: Cluster;
  /** Takes no new work but what an operator needs: another node does it. */
  readonly isDraining: boolean;
  readonly access: Access;
  ready(): Readiness;
  /** Prometheus text. */
  metrics(): string;
  /** Newest durable epoch of `system` that this node knows, for the `headgate-epoch` header. */
  systemEpoch(): number;
}

export interface Cluster {
  status(): ClusterStatus;
  /** Calls back soon after each change of members, states or leader, until the function is called. */
  watch(onChange: () => void): () => void;
  /** Resolves when the row is durable and the order is on its way; the leader's alone. */
  setBroker(node: string, state: BrokerState): Promise<{ readonly epoch: number }>;
  /** Resolves when the successor leads; the leader's alone. */
  stepDown(preferred?: string): Promise<HandOver>;
}

export type BrokerState = "active" | "draining" | "retiring" | "shutdown";

export interface HandOver {
  readonly from: string;
  readonly to: string;
  readonly ms: number;
}

export interface Databases {
  list(): Promise<readonly DatabaseInfo[]>;
  create(name: string, options: { readonly pageSize?: number }): Promise<DatabaseInfo>;
  inspect(name: string): Promise<DatabaseInfo>;
  drop(name: string): Promise<{ readonly epoch: number }>;
  /** Resolves when durable. The answer is complete JSON text, `epoch` included. */
  execute(name: string, request: WriteRequest): Promise<TextAnswer>;
  query(name: string, request: QueryRequest): Promise<QueryAnswer>;
  /** A standard SQLite file of that moment; the caller calls `done` when it has been sent. */
  export(name: string, at: Moment): Promise<ExportedFile>;
  rollback(name: string, at: Moment): Promise<{ readonly epoch: number }>;
}

export interface QueryRequest extends ReadRequest {
  readonly params?: Parameters;
  readonly level: "local" | "session" | "linearizable";
  /** With `session`: answer only from this epoch on. */
  readonly minEpoch?: number;
}

export interface TextAnswer {
  readonly text: string;
  readonly epoch: number;
}

/** Small results are text; larger ones a spool file that the caller sends and then calls `done`. */
export type QueryAnswer = TextAnswer | SpooledAnswer;

export interface SpooledAnswer extends ExportedFile {}

export interface ExportedFile {
  readonly path: string;
  readonly size: number;
  readonly epoch: number;
  done(): void;
}

/** Now, the end of an epoch, or the newest epoch at or before a time (ms since 1970). */
export type Moment = { readonly epoch: number } | { readonly timeMs: number } | "now";

export interface DatabaseInfo {
  readonly name: string;
  readonly page_size: number;
  /** Newest epoch in this node's image, and newest known to be durable. */
  readonly head: number;
  readonly tip: number;
  /** Of the whole database at `head`, 16 hex digits: equal on all nodes. Null while none is read. */
  readonly checksum: string | null;
  readonly size_bytes: number;
  readonly owner: string | null;
  readonly created_at: string;
  /** The newest snapshot's epoch; 0 when there is none. */
  readonly snapshot: number;
  /** What this node does with it: `opening`, `following`, `owning`, …; see docs/protocol.md, 13. */
  readonly state: string;
  /** While it is read from the store. */
  readonly joining?: { readonly bytes: number; readonly bytes_total: number };
}

export interface ClusterStatus {
  readonly cluster: string;
  readonly leader: { readonly id: string; readonly address: string } | null;
  readonly term: number;
  readonly epoch: number;
  readonly nodes: readonly NodeStatus[];
  readonly breaker: { readonly state: "closed" | "open" | "half_open"; readonly reason?: string };
  readonly price_month_usd: number;
}

export interface NodeStatus {
  readonly id: string;
  readonly address: string;
  readonly role: "leader" | "broker";
  readonly roles: readonly string[];
  readonly state: string;
  readonly zone: string;
  readonly version: string;
  /** Of `system`, and how far that is behind the newest epoch that is known. */
  readonly head: number;
  readonly lag: number;
  /** Newest epoch in its image, by database. */
  readonly heads: Readonly<Record<string, number>>;
  /** Requests that it is answering. */
  readonly running: number;
  readonly last_heard_ms: number;
  readonly why_not_leader: string | null;
}

export interface Readiness {
  readonly ready: boolean;
  readonly role: string;
  readonly head: number;
  readonly store: string;
  readonly state: string;
  readonly reasons: readonly string[];
}
