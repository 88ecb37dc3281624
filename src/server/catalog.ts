/**
 * All databases of one node: which there are, their replicas, and what may be done to them. The row
 * in `system` says that a database exists; its chain comes first and goes last (PROTOCOL section 7).
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { describe, Failure } from "../base/failure.ts";
import { TAKEN_AT_ONCE_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { checkDatabaseName, isCatalogName, SYSTEM_DATABASE } from "../epoch/name.ts";
import type { Parts } from "../replica/parts.ts";
import type { ReplicaHooks } from "../replica/hooks.ts";
import type { Replica } from "../replica/replica.ts";
import { dropChain } from "./drop-chain.ts";
import { Openings } from "./openings.ts";
import { droppedMeanwhile, prepareChain } from "./prepare-chain.ts";
import { type DatabaseRow, notLeading, type SystemDatabase } from "./system-database.ts";

export const DEFAULT_PAGE_SIZE = 4096;

/** How long the image may take to show what was pushed. */
const REFRESH_MS = 10_000;
/** After a database could not be opened. */
const REOPEN_MS = 5_000;

export interface CatalogOptions {
  readonly parts: Parts;
  readonly hooks: ReplicaHooks;
  readonly clock: Clock;
  readonly log: Log;
}

/** A database and its replica, once that is open. */
interface Entry {
  readonly row: DatabaseRow;
  readonly replica: Promise<Replica>;
}

export class Catalog {
  readonly #options: CatalogOptions;
  readonly #entries = new Map<string, Entry>();
  /** Open replicas, so that the hot path waits for nothing. */
  readonly #open = new Map<string, Replica>();
  /** Create and drop of one name happen one after another. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #isPushed = false;
  /** Those that are being read from the store. */
  readonly openings: Openings;
  #system: { readonly replica: Replica; readonly database: SystemDatabase } | null = null;

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.openings = new Openings(options.parts, options.hooks);
  }

  /** Called once `system` is open. Opens every database that it lists. */
  async start(replica: Replica, database: SystemDatabase): Promise<void> {
    this.#system = { replica, database };
    this.#open.set(SYSTEM_DATABASE, replica);
    replica.isPushed = this.#isPushed;
    await this.refresh();
  }

  /** Holds the entries against the rows of `system`, as after a change by another leader. */
  async refresh(): Promise<void> {
    // One that is created meanwhile may have its row too late to be listed.
    const before = [...this.#entries];
    const rows = await this.system.database.list();
    const made = new Map(rows.map(({ name, createdAt }) => [name, createdAt]));
    for (const [name, entry] of before) {
      // One that was dropped and made again has lost epochs at once that a replica may wait for.
      const isStale = made.get(name) !== entry.row.createdAt;
      if (isStale && this.#entries.get(name) === entry) await this.#forget(name);
    }
    for (const row of rows) if (!this.#entries.has(row.name)) this.#add(row);
  }

  /** Throws `unavailable` before the node has found its cluster. */
  get system(): { readonly replica: Replica; readonly database: SystemDatabase } {
    if (this.#system) return this.#system;
    throw new Failure("unavailable", "The node is starting: it has not read the cluster yet", {
      retryAfterMs: 500,
    });
  }

  /** The open replica, or undefined: then `wait` says why or waits. */
  peek(name: string): Replica | undefined {
    return this.#open.get(name);
  }

  async wait(name: string): Promise<Replica> {
    const open = this.#open.get(name);
    if (open) return open;
    void this.system;
    const entry = this.#entries.get(name) ?? (this.isLeading ? await this.#find(name) : undefined);
    if (entry) return await entry.replica;
    throw new Failure("missing", `There is no database ${JSON.stringify(name.slice(0, 80))}`);
  }

  rows(): readonly DatabaseRow[] {
    return [...this.#entries.values()].map(({ row }) => row).sort((a, b) =>
      a.name < b.name ? -1 : 1
    );
  }

  row(name: string): DatabaseRow | undefined {
    return this.#entries.get(name)?.row;
  }

  /** Whether the leader pushes epochs to this node; else each replica looks into the store. */
  set isPushed(isPushed: boolean) {
    this.#isPushed = isPushed;
    for (const replica of this.#open.values()) replica.isPushed = isPushed;
  }

  /** A durable epoch that the leader told. One of a database that is not open yet is read later. */
  push(database: string, epoch: number, bytes: Uint8Array | null): void {
    this.#open.get(database)?.push(epoch, bytes);
    if (database === SYSTEM_DATABASE) void this.#refreshAt(epoch);
  }

  replicas(): readonly Replica[] {
    return [...this.#open.values()];
  }

  get isLeading(): boolean {
    return this.#options.hooks.systemClaim() !== null;
  }

  has(name: string): boolean {
    return this.#open.has(name) || this.#entries.has(name);
  }

  create(name: string, pageSize: number): Promise<Replica> {
    checkDatabaseName(name);
    return this.#create(name, pageSize);
  }

  /** A lake's, under a name that no client may choose for a database. */
  createCatalog(name: string): Promise<Replica> {
    assert(isCatalogName(name), `${name} is a lake's`);
    return this.#create(name, DEFAULT_PAGE_SIZE);
  }

  #create(name: string, pageSize: number): Promise<Replica> {
    return this.#inTurn(name, async () => {
      const { database } = this.leading();
      await this.#refuseTaken(name);
      const replica = await prepareChain(this.#options.parts, name, pageSize, this.#options.hooks);
      const createdAt = new Date(this.#options.clock.nowMs()).toISOString();
      this.#options.parts.crashPoint("create.before_row");
      try {
        await database.add({ name, pageSize, createdAt });
      } catch (error) {
        await replica.close(droppedMeanwhile(name));
        throw error;
      }
      this.#options.parts.crashPoint("create.after_row");
      this.#entries.set(name, {
        row: { name, pageSize, createdAt },
        replica: Promise.resolve(replica),
      });
      this.#open.set(name, replica);
      return replica;
    });
  }

  drop(name: string): Promise<number> {
    if (name === SYSTEM_DATABASE) {
      throw new Failure("denied", "The database system belongs to the cluster and stays");
    }
    return this.#inTurn(name, async () => {
      this.leading();
      return await this.#drop(await this.wait(name));
    });
  }

  /** Completes drops that were cut off after their tombstone. Needs leadership. */
  async finishDrops(): Promise<void> {
    await this.each("finish dropping", async (replica) => {
      await this.#inTurn(replica.name, async () => {
        // A drop and a create may have had their turns before.
        if (replica.dropped && this.#open.get(replica.name) === replica) await this.#drop(replica);
      });
    });
  }

  async close(failure: Failure): Promise<void> {
    // What is being opened now closes itself.
    this.#entries.clear();
    // `system` last: the others' claims depend on it.
    const names = [...this.#open.keys()].filter((name) => name !== SYSTEM_DATABASE);
    await Promise.all(names.map((name) => this.#open.get(name)?.close(failure)));
    await this.#open.get(SYSTEM_DATABASE)?.close(failure);
    this.#open.clear();
  }

  /** A few at a time: each may need a copy of its database. Never rejects. */
  async each(what: string, work: (replica: Replica) => Promise<void>): Promise<void> {
    const waiting = [...this.#entries];
    const one = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [database, entry] = next;
        try {
          await work(await entry.replica);
        } catch (error) {
          this.#options.log.error(`could not ${what} ${database}`, { cause: describe(error) });
        }
      }
    };
    await Promise.all(Array.from({ length: TAKEN_AT_ONCE_MAX }, one));
  }

  /** Throws `elsewhere` on a node that does not lead. */
  leading(): { readonly replica: Replica; readonly database: SystemDatabase } {
    const { system } = this;
    if (this.isLeading) return system;
    throw notLeading(system.replica.ownership?.claim);
  }

  /**
   * Asks the rows themselves: a successor has not read them all yet, an earlier create may have been
   * uncertain, and a chain that has no row is emptied.
   */
  async #refuseTaken(name: string): Promise<void> {
    if (!(await this.#find(name))) return;
    throw new Failure("conflict", `Cannot create ${name}: there is a database of that name`);
  }

  /** The rows of the image tell, also where not all of them were read yet. */
  async #find(name: string): Promise<Entry | undefined> {
    const row = (await this.system.database.list()).find((one) => one.name === name);
    if (row && !this.#entries.has(name)) this.#add(row);
    return this.#entries.get(name);
  }

  #drop(replica: Replica): Promise<number> {
    const { parts } = this.#options;
    const { name } = replica;
    return dropChain(parts, replica, {
      removeRow: () => this.system.database.remove(name),
      forget: () => this.#forget(name),
    });
  }

  #add(row: DatabaseRow): void {
    const replica = this.#openOne(row);
    this.#entries.set(row.name, { row, replica });
    replica.catch(async (error) => {
      const { log, clock } = this.#options;
      if (this.#entries.get(row.name)?.replica !== replica) return;
      log.error("could not open a database", { database: row.name, cause: describe(error) });
      await clock.sleep(REOPEN_MS);
      if (this.#entries.get(row.name)?.replica === replica) this.#add(row);
    });
  }

  async #openOne(row: DatabaseRow): Promise<Replica> {
    const { name } = row;
    const replica = await this.openings.open(name);
    if (this.#entries.get(name)?.row !== row) {
      // Dropped, or made by this node, while it was opened.
      await replica.close(droppedMeanwhile(name));
      throw droppedMeanwhile(name);
    }
    this.#open.set(name, replica);
    // What was pushed while it was opened went by: with this it looks into the store once more.
    replica.isPushed = this.#isPushed;
    return replica;
  }

  /** A change of `system` may make or drop a database. */
  async #refreshAt(epoch: number): Promise<void> {
    const { clock, log } = this.#options;
    try {
      const deadlineMs = clock.monotonicMs() + REFRESH_MS;
      await this.system.replica.image.reached(epoch, deadlineMs);
      if (!this.isLeading) await this.refresh();
    } catch (error) {
      log.info("could not read the catalog", { cause: describe(error) });
    }
  }

  async #forget(name: string): Promise<void> {
    this.#entries.delete(name);
    const replica = this.#open.get(name);
    this.#open.delete(name);
    await replica?.close(droppedMeanwhile(name));
  }

  #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#turns.get(name) ?? Promise.resolve()).then(work);
    const ended = result.then(() => {}, () => {}).then(() => {
      if (this.#turns.get(name) === ended) this.#turns.delete(name);
    });
    this.#turns.set(name, ended);
    return result;
  }
}
