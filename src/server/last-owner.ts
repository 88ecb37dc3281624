/**
 * One process, one node (PROTOCOL section 8): whether a claim that carries this node's id is this
 * process's to go on with, or shows that another process runs with the same id.
 */
import { Failure } from "../base/failure.ts";
import type { Replica } from "../replica/replica.ts";
import type { Links } from "./links.ts";

export interface OwnIdentity {
  readonly node: { readonly id: string; readonly address: string };
  readonly eligible: boolean;
  readonly network: Pick<Links, "isSelfAt">;
}

/**
 * Judged once, at start: the last owner claims at once after a restart. Throws `conflict` when another
 * process with this id answers where the claim was made.
 */
export async function wasOwner(system: Replica, own: OwnIdentity): Promise<boolean> {
  const claim = system.ownership?.claim;
  const { node, eligible, network } = own;
  if (!claim || claim.node !== node.id || claim.successor !== null) return false;
  if (claim.address !== node.address && await network.isSelfAt(claim.address)) {
    throw new Failure(
      "conflict",
      `Cannot start: the node id ${node.id} is in use at ${claim.address}; ` +
        "delete the file at cluster_mode.node_id_path for a new one",
    );
  }
  return eligible;
}

/** A claim with this node's id that this process did not make: a newer process may have. */
export async function checkReplaced(
  address: string,
  own: Omit<OwnIdentity, "eligible"> & { onReplaced(failure: Failure): void },
): Promise<void> {
  const { node, network, onReplaced } = own;
  if (address === node.address || !(await network.isSelfAt(address))) return;
  onReplaced(
    new Failure("conflict", `The node id ${node.id} is in use by a newer process at ${address}`),
  );
}
