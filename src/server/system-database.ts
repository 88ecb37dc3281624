/**
 * The cluster's own database: which databases there are, which of their snapshots are proved, and
 * who may do what.
 */
import type { Database } from "bun:sqlite";
import { Failure } from "../base/failure.ts";
import type { Clock } from "../base/clock.ts";
import { MACHINERY_TIMEOUT_MS } from "../base/limits.ts";
import type { Statement } from "../database/statement.ts";
import type { BrokerRow } from "./broker-states.ts";
import type { Claim } from "../replica/claims.ts";
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

/** Tables that an older version did not have are made by the first leader that knows them. */
const SCHEMA: Readonly<Record<string, string>> = {
  databases: "(name TEXT PRIMARY KEY, page_size INTEGER NOT NULL, created_at TEXT NOT NULL)",
  snapshots: "(database TEXT NOT NULL, epoch INTEGER NOT NULL, verified_at TEXT NOT NULL, " +
    "PRIMARY KEY (database, epoch))",
  brokers: "(node TEXT PRIMARY KEY, state TEXT NOT NULL, process TEXT NOT NULL, at TEXT NOT NULL)",
  users: "(name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, scopes TEXT NOT NULL, " +
    "created_at TEXT NOT NULL)",
  revocations: "(jti TEXT PRIMARY KEY, until INTEGER NOT NULL)",
  revoked_subjects: "(subject TEXT PRIMARY KEY, issued_until INTEGER NOT NULL, " +
    "until INTEGER NOT NULL)",
};

/** What a change of `system` did. */
export interface Changed {
  readonly epoch: number;
  /** Of each statement. */
  readonly rowsAffected: readonly number[];
}

export class SystemDatabase {
  readonly replica: Replica;
  readonly #clock: Clock;
  readonly #subject: string;

  constructor(replica: Replica, clock: Clock, subject: string) {
    this.replica = replica;
    this.#clock = clock;
    this.#subject = subject;
  }

  /** Makes the tables that are missing. Needs the ownership of `system`. */
  async prepare(): Promise<void> {
    const there = await this.replica.image.read(tablesOf);
    const missing = Object.entries(SCHEMA).filter(([table]) => !there.has(table));
    if (missing.length === 0) return;
    await this.change(missing.map(([table, columns]) => ({
      sql: `CREATE TABLE IF NOT EXISTS ${table} ${columns} WITHOUT ROWID`,
    })));
  }

  /** As of this node's head; empty before the first leader has made the tables. */
  async list(): Promise<DatabaseRow[]> {
    const rows = await this.rows(
      "databases",
      "SELECT name, page_size, created_at FROM databases ORDER BY name",
    );
    return rows.map(([name, pageSize, createdAt]) => ({
      name: String(name),
      pageSize: Number(pageSize),
      createdAt: String(createdAt),
    }));
  }

  /** Rows of a query as of this node's head; none where no leader has made the table yet. */
  async rows(
    table: string,
    sql: string,
    params: readonly (string | number)[] = [],
  ): Promise<unknown[][]> {
    return await this.replica.image.read((database) =>
      tablesOf(database).has(table) ? database.query(sql).values(...params) : []
    );
  }

  async add(row: DatabaseRow): Promise<void> {
    await this.change([{
      sql: "INSERT OR IGNORE INTO databases (name, page_size, created_at) VALUES (?, ?, ?)",
      params: [row.name, row.pageSize, row.createdAt],
    }]);
  }

  async remove(name: string): Promise<void> {
    await this.change([
      { sql: "DELETE FROM snapshots WHERE database = ?", params: [name] },
      { sql: "DELETE FROM databases WHERE name = ?", params: [name] },
    ]);
  }

  async addSnapshot(database: string, epoch: number): Promise<void> {
    const storeMs = this.#clock.nowMs() + this.replica.chain.store.clockOffsetMs();
    const at = new Date(storeMs).toISOString();
    await this.change([
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
  async brokers(): Promise<BrokerRow[]> {
    const rows = await this.rows("brokers", "SELECT node, state, process FROM brokers");
    return rows.map(([node, state, process]) => ({
      node: String(node),
      state: String(state) as BrokerRow["state"],
      process: String(process),
    }));
  }

  async setBroker({ node, state, process }: BrokerRow): Promise<number> {
    const { epoch } = await this.change([{
      sql: "INSERT OR REPLACE INTO brokers (node, state, process, at) VALUES (?, ?, ?, ?)",
      params: [node, state, process, new Date(this.#clock.nowMs()).toISOString()],
    }]);
    return epoch;
  }

  /** Snapshots of a database that were verified and are not pruned, in ascending order. */
  async verifiedSnapshots(database: string): Promise<VerifiedSnapshot[]> {
    return await this.replica.image.read((system) =>
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
    await this.change([{
      sql: "DELETE FROM snapshots WHERE database = ? AND epoch < ?",
      params: [database, epoch],
    }]);
  }

  /** One transaction. Resolves when the image of this node holds what was written. */
  async change(statements: readonly Statement[]): Promise<Changed> {
    const deadlineMs = this.#clock.monotonicMs() + MACHINERY_TIMEOUT_MS;
    const request = { statements, subject: this.#subject, deadlineMs, trusted: true };
    const { text, epoch } = await this.replica.execute(request);
    await this.replica.image.reached(epoch, deadlineMs);
    const { results } = JSON.parse(text) as { results: { rows_affected: number }[] };
    return { epoch, rowsAffected: results.map(({ rows_affected }) => rows_affected) };
  }
}

function tablesOf(database: Database): ReadonlySet<string> {
  const rows = database.query("SELECT name FROM sqlite_schema WHERE type = 'table'").values();
  return new Set(rows.map(([name]) => String(name)));
}

/** Who resigned leads no more, and who is named does not lead yet. */
export function notLeading(owner: Claim | undefined): Failure {
  if (owner?.successor !== null && owner !== undefined) {
    return new Failure("unavailable", "The leader has resigned and the next one is not there yet", {
      details: { reason: "election" },
      retryAfterMs: 500,
    });
  }
  const leader = owner?.address;
  return new Failure(
    "elsewhere",
    `This node does not lead the cluster; ${leader ?? "another node"} does`,
    leader === undefined ? {} : { leader },
  );
}
