/** Rows of `_headgate_claims`: who owns a chain, and how often it changed hands. */
import type { Image } from "../database/image.ts";

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
 * True when the chain was claimed by a leader that came after the one of `systemClaim`. Nobody claims
 * over such a row: two that believe they lead would take a chain from each other (PROTOCOL section 8).
 */
export function isOutdated(systemClaim: number | null, ownership: Ownership | null): boolean {
  return systemClaim !== null && ownership !== null && ownership.claim.systemClaim > systemClaim;
}

export const INSERT_CLAIM =
  "INSERT INTO _headgate_claims (epoch, node, address, system_claim, successor, at) " +
  "VALUES (?, ?, ?, ?, NULL, ?)";
