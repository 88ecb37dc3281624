/** What a replica asks of and tells its node. */
import type { Ownership } from "./claims.ts";
import type { JoinProgress } from "./join.ts";
import type { Replica } from "./replica.ts";

export interface ReplicaHooks {
  /** Epoch of our claim in `system`, or null while this node does not lead: then nothing is claimed. */
  systemClaim(): number | null;
  /** Resolves when the chain of `system` shows that this node still led after the call. */
  proveLead?(): Promise<unknown>;
  /** A chain is being read into a new image. */
  onJoining?(database: string, progress: JoinProgress): void;
  /** This node lost the chain, or found that a newer leader has it. */
  onFenced(replica: Replica): void;
  /**
   * An epoch of a chain that this node owns is durable, before its requests are answered. `bytes` is
   * its object; null for one that replaced the whole content, which followers read from the store.
   */
  onDurable?(database: string, epoch: number, bytes: Uint8Array | null): void;
  /** A newer claim, or a resignation, is in the image; whether its owner pushed it. */
  onOwnership?(database: string, ownership: Ownership, isPushed: boolean): void;
  /** A snapshot was written and verified. */
  onSnapshot(replica: Replica, epoch: number): void;
}
