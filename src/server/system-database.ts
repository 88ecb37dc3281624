/** The cluster's own database: which databases there are, and which of their snapshots are proved. */
import { Failure } from "../base/failure.ts";
import type { Clock } from "../base/clock.ts";
import { MACHINERY_TIMEOUT_MS } from "../base/limits.ts";
import type { Statement } from "../database/statement.ts";
import type { BrokerState } from "../members/roster.ts";
import type { Replica } from "../replica/replica.ts";

export interface DatabaseRow {
  readonly name: string;
  readonly pageSize: number;
  readonly createdAt: string;
}

export interface VerifiedSnapshot {
  readonly epoch: number;
  /** By the store's clock. */
  readonly verifiedAtMs: number;
}

const SCHEMA: readonly Statement[] = [
  {
    sql:
      "CREATE TABLE IF NOT EXISTS databases (name TEXT PRIMARY KEY, page_size INTEGER NOT NULL, " +
      "created_at TEXT NOT NULL) WITHOUT ROWID",
  },
  {
    sql: "CREATE TABLE IF NOT EXISTS snapshots (database TEXT NOT NULL, epoch INTEGER NOT NULL, " +
      "verified_at TEXT NOT NULL, PRIMARY KEY (database, epoch)) WITHOUT ROWID",
  },
  {
    sql: "CREATE TABLE IF NOT EXISTS brokers (node TEXT PRIMARY KEY, state TEXT NOT NULL, " +
      "at TEXT NOT NULL) WITHOUT ROWID",
  },
];

export class SystemDatabase {
  readonly #replica: Replica;
  readonly #clock: Clock;
  readonly #subject: string;

  constructor(replica: Replica, clock: Clock, subject: string) {
    this.#replica = replica;
    this.#clock = clock;
    this.#subject = subject;
  }

  /** Makes the tables, if this is the cluster's first leader. Needs the ownership of `system`. */
  async prepare(): Promise<void> {
    const tables = await this.#replica.image.read((database) =>
      database.query(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('databases', 'snapshots', 'brokers')",
      ).values()[0]?.[0]
    );
    if (Number(tables) < SCHEMA.length) await this.#execute(SCHEMA);
  }

  /** As of this node's head; empty before the first leader has made the tables. */
  async list(): Promise<DatabaseRow[]> {
    return await this.#replica.image.read((database) => {
      const exists = database.query("SELECT 1 FROM sqlite_schema WHERE name = 'databases'")
        .values();
      if (exists.length === 0) return [];
      return database.query("SELECT name, page_size, created_at FROM databases ORDER BY name")
        .values()
        .map(([name, pageSize, createdAt]) => ({
          name: String(name),
          pageSize: Number(pageSize),
          createdAt: String(createdAt),
        }));
    });
  }

  async add(row: DatabaseRow): Promise<void> {
    await this.#execute([{
      sql: "INSERT OR IGNORE INTO databases (name, page_size, created_at) VALUES (?, ?, ?)",
      params: [row.name, row.pageSize, row.createdAt],
    }]);
  }

  async remove(name: string): Promise<void> {
    await this.#execute([
      { sql: "DELETE FROM snapshots WHERE database = ?", params: [name] },
      { sql: "DELETE FROM databases WHERE name = ?", params: [name] },
    ]);
  }

  async addSnapshot(database: string, epoch: number): Promise<void> {
    const storeMs = this.#clock.nowMs() + this.#replica.chain.store.clockOffsetMs();
    const at = new Date(storeMs).toISOString();
    await this.#execute([
      {
        sql: "INSERT OR REPLACE INTO snapshots (database, epoch, verified_at) VALUES (?, ?, ?)",
        params: [database, epoch, at],
      },
      {
        // Retention needs one of each hour, and a restart the newest: so few that none is forgotten.
        sql: "DELETE FROM snapshots WHERE database = ?1 AND epoch NOT IN " +
          "(SELECT min(epoch) FROM snapshots WHERE database = ?1 GROUP BY substr(verified_at, 1, 13)" +
          ") AND epoch NOT IN " +
          "(SELECT epoch FROM snapshots WHERE database = ?1 ORDER BY epoch DESC LIMIT 100)",
        params: [database],
      },
    ]);
  }

  /** The states that operators want nodes in. */
  async brokers(): Promise<{ readonly node: string; readonly state: BrokerState }[]> {
    return await this.#replica.image.read((system) =>
      system.query("SELECT node, state FROM brokers").values().map(([node, state]) => ({
        node: String(node),
        state: String(state) as BrokerState,
      }))
    );
  }

  async setBroker(node: string, state: BrokerState): Promise<number> {
    return await this.#execute([{
      sql: "INSERT OR REPLACE INTO brokers (node, state, at) VALUES (?, ?, ?)",
      params: [node, state, new Date(this.#clock.nowMs()).toISOString()],
    }]);
  }

  /** Snapshots of a database that were verified and are not pruned, in ascending order. */
  async verifiedSnapshots(database: string): Promise<VerifiedSnapshot[]> {
    return await this.#replica.image.read((system) =>
      system.query(
        "SELECT epoch, verified_at FROM snapshots WHERE database = ? ORDER BY epoch",
      ).values(database).map(([epoch, at]) => ({
        epoch: Number(epoch),
        verifiedAtMs: Date.parse(String(at)),
      }))
    );
  }

  /** After everything before the snapshot at `epoch` was pruned. */
  async forgetSnapshotsBefore(database: string, epoch: number): Promise<void> {
    await this.#execute([{
      sql: "DELETE FROM snapshots WHERE database = ? AND epoch < ?",
      params: [database, epoch],
    }]);
  }

  /** Resolves when the image of this node holds what was written. */
  async #execute(statements: readonly Statement[]): Promise<number> {
    const deadlineMs = this.#clock.monotonicMs() + MACHINERY_TIMEOUT_MS;
    const request = { statements, subject: this.#subject, deadlineMs, trusted: true };
    const { epoch } = await this.#replica.execute(request);
    await this.#replica.image.reached(epoch, deadlineMs);
    return epoch;
  }
}

export function notLeading(leader: string | undefined): Failure {
  return new Failure(
    "elsewhere",
    `This node does not lead the cluster; ${leader ?? "another node"} does`,
    leader === undefined ? {} : { leader },
  );
}
