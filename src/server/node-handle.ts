/** A node as whoever runs it sees it. */
import type { HeadgateNode } from "../http/node.ts";
import type { Store } from "../store/store.ts";
import type { NodeDatabases } from "./databases.ts";
import type { Membership } from "./membership.ts";

/** What a program that runs this node in its own process works with. */
export interface NodeInside {
  readonly databases: NodeDatabases;
  readonly membership: Membership;
  readonly store: Store;
}

export interface NodeHandle {
  readonly node: HeadgateNode;
  readonly inside: NodeInside;
  /** Finds or makes the cluster. Resolves when this node serves; rejects when it must not. */
  start(): Promise<void>;
  /** Hands the lead over if it has it, so that clients notice little; then `stop`. */
  leave(): Promise<void>;
  stop(): Promise<void>;
}
