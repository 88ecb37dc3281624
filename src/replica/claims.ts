/** Rows of `_headgate_claims`: who owns a chain, and how often it changed hands. */
import type { Image } from "../database/image.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";

export interface Claim {
  readonly epoch: number;
  readonly node: string;
  readonly address: string;
  /** Epoch of the claimer's claim in `system` (in `system` its own). */
  readonly systemClaim: number;
  /** Set by a resignation: who should lead next ("" for anybody). */
  readonly successor: string | null;
}

export interface Ownership {
  readonly claim: Claim;
  /** How many claims there have been. */
  readonly term: number;
}

/** What a claim is for. */
export interface ClaimWish {
  /** Only a create claims over a tombstone. */
  readonly isCreate?: boolean;
  /** The claim that was judged: nothing is claimed when a newer one is found. */
  readonly over?: number;
  /** A look at the store sent since (monotonic ms) is enough; else there is one before the claim. */
  readonly currentSinceMs?: number;
  /** This node's claim of `system` is on its way: whether it was won. Nothing is owned before. */
  readonly lead?: Promise<boolean>;
  /**
   * The claim of `system` whose owner has resigned over this node's link, all that it had in the
   * other chains told before: whoever claims follows it at once (decision 0018).
   */
  readonly resigned?: number;
}

/** The newest claim in the image, or null in a chain without any (there is no such chain). */
export function readOwnership(image: Image): Promise<Ownership | null> {
  return image.read((database) => {
    const row = database.query(
      "SELECT epoch, node, address, system_claim, successor FROM _headgate_claims " +
        "ORDER BY epoch DESC LIMIT 1",
    ).values()[0];
    const count = database.query("SELECT count(*) FROM _headgate_claims").values()[0];
    if (!row || !count) return null;
    const [epoch, node, address, systemClaim, successor] = row;
    return {
      claim: {
        epoch: Number(epoch),
        node: String(node),
        address: String(address),
        systemClaim: Number(systemClaim),
        successor: successor === null || successor === undefined ? null : String(successor),
      },
      term: Number(count[0]),
    };
  });
}

/**
 * False on a node that does not lead, and where the chain was claimed by a leader that came after
 * the one of `systemClaim`: two that believe they lead would take a chain from each other (PROTOCOL
 * section 8).
 */
export function mayClaim(
  database: string,
  systemClaim: number | null,
  ownership: Ownership | null,
): boolean {
  if (database === SYSTEM_DATABASE) return true;
  return systemClaim !== null && systemClaim >= (ownership?.claim.systemClaim ?? 0);
}

/** A write claims its chain; only `system` is claimed by the rules of who leads, and not before. */
export function claimsWhenWritten(database: string, systemClaim: number | null): boolean {
  return systemClaim !== null && database !== SYSTEM_DATABASE;
}

export const NAME_SUCCESSOR = "UPDATE _headgate_claims SET successor = ? WHERE epoch = ?";

export const INSERT_CLAIM =
  "INSERT INTO _headgate_claims (epoch, node, address, system_claim, successor, at) " +
  "VALUES (?, ?, ?, ?, NULL, ?)";
