/** How a leader takes the chains of the one before it. */
import type { ClaimWish } from "../replica/claims.ts";
import type { Catalog } from "./catalog.ts";

/**
 * Claims those as the leader that this node is about to be by `systemClaim`. They serve nothing
 * before it is (`lead` of the wish), and are given up if it is not to be.
 */
export async function claimAhead(
  catalog: Catalog,
  databases: ReadonlySet<string>,
  systemClaim: number,
  wish: ClaimWish & { readonly lead: Promise<boolean> },
): Promise<void> {
  await catalog.each("claim ahead", async (replica) => {
    if (databases.has(replica.name) && !replica.dropped) await replica.claim(systemClaim, wish);
  });
}

/** Claims all: the leader before may not know yet that it is none. */
export async function claimAll(
  catalog: Catalog,
  systemClaim: () => number | null,
  wish: ClaimWish = {},
): Promise<void> {
  await catalog.each("claim", async (replica) => {
    if (replica.dropped || await replica.claim(systemClaim(), wish)) return;
    // There was more than it knew.
    if (systemClaim() !== null && !replica.dropped) await replica.claim(systemClaim());
  });
}
