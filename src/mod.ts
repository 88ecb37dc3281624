/**
 * Headgate as a library: a program becomes a node of a cluster (docs/library.md).
 *
 *     const cluster = await joinCluster({ storage: { … } });
 *     await cluster.transaction("shop", (db) => db.run("UPDATE …"));
 *
 * Importing it does nothing.
 */
export { Failure, type FailureKind, isFailure } from "./base/failure.ts";
export type { Config } from "./config/config.ts";
export type { ConfigInput } from "./config/schema.ts";
export type { HandOver } from "./http/node.ts";
export type { App, AppCaller, AppEnv, CallOptions } from "./library/calls.ts";
export type { Cluster, Ended, ReadOptions, TransactionOptions } from "./library/cluster.ts";
export { joinCluster, type JoinOptions } from "./library/join.ts";
export type {
  Parameter,
  Parameters,
  Query,
  ReadHandle,
  Row,
  RunResult,
  TransactionHandle,
  Value,
} from "./library/sqlite.ts";
export type { Target } from "./library/targets.ts";
export type { Committed } from "./library/transactions.ts";
export type { Member, View } from "./library/view.ts";
export type { PartOfStore } from "./store/prefixed.ts";
