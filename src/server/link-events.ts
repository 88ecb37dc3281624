/** What comes through a node's links, and whom it concerns. */
import type { NodeLinksEvents } from "./links.ts";
import type { Membership, MembershipOptions } from "./membership.ts";
import type { Preparation } from "./preparation.ts";

export function linkEvents(
  membership: Membership,
  options: MembershipOptions,
  preparation: Preparation,
): NodeLinksEvents {
  const { facts, catalog, onOrder, onRoster, onReplaced } = options;
  return {
    onLinked: () => {
      catalog.isPushed = true;
      preparation.over();
      membership.leadership.standby?.on({ kind: "linked" });
      membership.forwarding.leaderChanged();
      onRoster(membership.roster());
    },
    onUnlinked: () => {
      catalog.isPushed = false;
      onRoster(membership.roster());
    },
    onLost: (by) => {
      if (facts.eligible) preparation.lost();
      membership.leadership.standby?.on({ kind: "unlinked", by });
    },
    onEpoch: (database, epoch, bytes) => {
      catalog.push(database, epoch, bytes);
      preparation.heard(database);
    },
    onRoster: (roster) => {
      for (const { node, nonce } of roster.members) {
        if (node !== facts.node) membership.proofs.expect(node, nonce);
      }
      onRoster(roster);
    },
    onOrder,
    onPrepare: () => preparation.soon(),
    onLeaderStore: (isFailing) =>
      membership.leadership.standby?.on({ kind: "leader_store", isFailing }),
    onLinks: (change) => membership.leadership.onLinks(change),
    onReplaced,
  };
}
