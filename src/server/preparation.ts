/**
 * What a standby does in the moment in which it may have to lead: it reads what the last leader left
 * and opens the workspaces that its claims will need, while it finds out whether it must claim.
 * Nothing of this is seen by anybody else.
 */
import type { Clock } from "../base/clock.ts";
import { describe } from "../base/failure.ts";
import { DATABASES_PREPARED_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { ClaimWish } from "../replica/claims.ts";
import type { Replica } from "../replica/replica.ts";

/** Processes that are started for databases before they are asked for. */
const WRITERS_WARMED_MAX = 3;

/** Shorter than processes are kept that nobody has asked for. */
const WARM_EVERY_MS = 4_000;

/** After somebody has begun to lead, whose first epochs clients wait for. */
const WARM_AFTER_MS = 500;

/** For so long what a leader sends that is about to resign counts as its last of each database. */
const SOON_MS = 1_000;

/** A claim of `system` that was checked so long ago stands for a look at its chain. */
const JUST_WON_MS = 500;

export interface PreparationOptions {
  readonly clock: Clock;
  readonly log: Log;
  replica(name: string): Replica | undefined;
  /** Has processes ready for that many workspaces. */
  warm(count: number): void;
  /** Opens the workspace that a claim of this replica will ask for. */
  prepare(replica: Replica): void;
  /** This node would claim before all others. */
  isFirst(): boolean;
}

export class Preparation {
  readonly #options: PreparationOptions;
  /** Databases that epochs came of, the newest last. */
  readonly #recent = new Set<string>();
  /** Where a look sent since is enough; undefined when nothing is known. */
  #currentSinceMs: number | undefined;
  /** The claim of `system` that was resigned over the link: nothing has to be looked for. */
  #resigned: number | undefined;
  #isPassedOver = false;
  #wonAtMs = -Infinity;
  #warmAtMs = -Infinity;
  #soonUntilMs = -Infinity;
  /** Databases that were opened since. */
  readonly #opened = new Set<string>();

  constructor(options: PreparationOptions) {
    this.#options = options;
  }

  /** How to claim now: a look that was sent since the loss has seen what there is to see. */
  wish(over: number | undefined): ClaimWish {
    const currentSinceMs = this.#currentSinceMs;
    const resigned = this.#resigned;
    return {
      ...(resigned !== undefined && { resigned }),
      ...(over !== undefined && { over }),
      ...(currentSinceMs !== undefined && { currentSinceMs }),
    };
  }

  /**
   * Databases worth claiming together with `system`: those with recent writes, where the leader has
   * resigned. One that is only believed gone could go on, and could then not take back a chain that
   * names a newer claim of `system` than its own.
   */
  get claimedAhead(): ReadonlySet<string> {
    return this.#resigned === undefined ? new Set() : this.#recent;
  }

  /** The claim of `system` was won a moment ago: that this node leads needs no other proof. */
  get hasJustWon(): boolean {
    return this.#options.clock.monotonicMs() - this.#wonAtMs < JUST_WON_MS;
  }

  /** An epoch of the database came from the leader, and is on its way into the image. */
  heard(database: string): void {
    this.#recent.delete(database);
    this.#recent.add(database);
    const [oldest] = this.#recent;
    if (this.#recent.size > DATABASES_PREPARED_MAX && oldest) this.#recent.delete(oldest);
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#soonUntilMs) this.#openLast(database, nowMs + SOON_MS);
    if (nowMs < this.#warmAtMs) return;
    this.#warmAtMs = nowMs + WARM_EVERY_MS;
    // While there are writes somebody would wait for a process to begin.
    if (this.#options.isFirst()) this.#warm();
  }

  /** The link to the leader has ended: what it sent last may not have come. */
  lost(): void {
    // One that has resigned ends its links, and has sent all that there is.
    if (this.#resigned !== undefined || this.#isPassedOver) return;
    this.#currentSinceMs = this.#options.clock.monotonicMs();
    this.#begin((replica) => replica.follow());
  }

  /** The leader is about to resign in favour of this node: no more than one epoch of each is to come. */
  soon(): void {
    this.#soonUntilMs = this.#options.clock.monotonicMs() + SOON_MS;
    this.#opened.clear();
    this.#warm();
  }

  /**
   * The leader, by that claim of `system`, has resigned over the link: everything before that has come
   * by it. Whoever is not named leaves the processor to those who are; a claim of its own comes late.
   */
  resigned(claim: number, isNamed: boolean): void {
    this.#isPassedOver = !isNamed;
    if (!isNamed) return;
    this.#resigned = claim;
    this.#currentSinceMs = -Infinity;
    this.#begin(() => Promise.resolve());
  }

  /** There is a leader, or this node has begun to be it. */
  over(): void {
    this.#currentSinceMs = undefined;
    this.#resigned = undefined;
    this.#isPassedOver = false;
    this.#soonUntilMs = -Infinity;
    const warmAtMs = this.#options.clock.monotonicMs() + WARM_AFTER_MS;
    this.#warmAtMs = Math.max(this.#warmAtMs, warmAtMs);
  }

  won(): void {
    this.#wonAtMs = this.#options.clock.monotonicMs();
  }

  #openLast(database: string, deadlineMs: number): void {
    const isMore = this.#opened.size < DATABASES_PREPARED_MAX && !this.#opened.has(database);
    // The resignation itself is the last of `system`.
    if (!isMore || database === SYSTEM_DATABASE) return;
    this.#opened.add(database);
    this.#prepare(database, ({ image, tip }) => image.reached(tip, deadlineMs));
  }

  /** The processes that claims need take their time to begin. */
  #warm(): void {
    this.#options.warm(1 + Math.min(this.#recent.size, WRITERS_WARMED_MAX));
  }

  #begin(read: (replica: Replica) => Promise<unknown>): void {
    // A copy of a large database costs what the first in line needs, on a shared host at least.
    const databases = this.#options.isFirst() ? this.#recent : [];
    for (const database of new Set([SYSTEM_DATABASE, ...databases])) {
      this.#prepare(database, read);
    }
  }

  #prepare(database: string, read: (replica: Replica) => Promise<unknown>): void {
    this.#one(database, read).catch((error) =>
      this.#options.log.info("could not prepare to lead", { database, cause: describe(error) })
    );
  }

  async #one(database: string, read: (replica: Replica) => Promise<unknown>): Promise<void> {
    const replica = this.#options.replica(database);
    if (!replica) return;
    // Whoever stands by looks at the chain of `system` itself.
    if (database !== SYSTEM_DATABASE) await read(replica);
    if (replica.state === "following" && !replica.dropped) this.#options.prepare(replica);
  }
}
