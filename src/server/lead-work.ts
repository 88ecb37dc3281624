/**
 * What a node does for the cluster's databases when it takes up the lead, before it hands it over, and
 * when nobody can reach it.
 */
import type { Clock } from "../base/clock.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { AddressBook } from "./address-book.ts";
import type { Catalog } from "./catalog.ts";
import { claimAhead, claimAll } from "./claim-chains.ts";
import type { Leadership } from "./leadership.ts";
import type { LinkTransport } from "./links.ts";
import { steppingDown } from "./next-leader.ts";
import type { NodeLinks } from "./node-links.ts";
import type { Preparation } from "./preparation.ts";
import { probeAddress } from "./probe-address.ts";

export interface LeadWorkOptions {
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly transport: LinkTransport;
  readonly brokerStaleMs: number;
  readonly preparation: Preparation;
  readonly book: AddressBook;
  readonly links: NodeLinks;
  readonly leadership: Leadership;
  /** What else a new leader does before it is ready. */
  onLead(): Promise<void>;
}

export class LeadWork {
  readonly #options: LeadWorkOptions;

  constructor(options: LeadWorkOptions) {
    this.#options = options;
  }

  /** This node's claim of `system`, by that epoch, is about to be made. */
  claiming(systemClaim: number, lead: Promise<boolean>): void {
    const { catalog, preparation } = this.#options;
    const databases = preparation.claimedAhead;
    const wish = { ...preparation.wish(undefined), lead };
    if (databases.size > 0) void claimAhead(catalog, databases, systemClaim, wish);
  }

  async begin(isSuccessor: boolean): Promise<void> {
    const { catalog, preparation, leadership, onLead } = this.#options;
    const systemClaim = () => leadership.claim;
    // Those that are known here; clients wait for them.
    if (isSuccessor) void claimAll(catalog, systemClaim, preparation.wish(undefined));
    preparation.over();
    await catalog.system.database.prepare();
    await catalog.refresh();
    if (isSuccessor) void claimAll(catalog, systemClaim);
    await onLead();
    void catalog.finishDrops();
  }

  /**
   * Everything but `system`, in order, so that the successor finds nothing in flight; false where
   * something may be all the same.
   */
  async release(): Promise<boolean> {
    const failure = steppingDown();
    const others = this.#options.catalog.replicas().filter(({ name }) => name !== SYSTEM_DATABASE);
    const ended = await Promise.allSettled(others.map((replica) => replica.release(failure)));
    const failed = ended.find((one) => one.status === "rejected");
    if (failed) throw failed.reason;
    return ended.every((one) => one.status === "fulfilled" && one.value);
  }

  /** A leader that nobody has a link to makes way only for somebody who lives. */
  async resignIfOthers(): Promise<void> {
    const { brokerStaleMs, clock, transport, book, links, leadership } = this.#options;
    await book.readFiles(brokerStaleMs, clock);
    const presences = await Promise.all(
      book.files().map(({ address }) => (transport.probe ?? probeAddress)(address)),
    );
    if (presences.every(({ kind }) => kind === "refused")) return;
    if ((links.hub?.links ?? 0) === 0) await leadership.resignToAnybody();
  }
}
