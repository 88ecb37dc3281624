/**
 * What clients were told about their writes, held against what the database says afterwards. Each
 * write adds one row (id, client, number) to a table without any key, so that a row that was lost,
 * doubled, refused and kept all the same, or put before an older one of its client, shows.
 */
import { type Client, must, NoAnswer } from "./client.ts";

/** acknowledged: there, once. refused: not there. unknown: there at most once. */
export type Outcome = "acknowledged" | "refused" | "unknown";

/** The `number`th write of a client; with an idempotency key it may be sent more than once. */
export interface Write {
  readonly client: number;
  readonly number: number;
  readonly key?: string;
}

interface Sent extends Write {
  outcome: Outcome;
  epoch: number;
}

export const LEDGER_SQL = "CREATE TABLE ledger (id TEXT, client INTEGER, number INTEGER)";
const INSERT = "INSERT INTO ledger VALUES (?, ?, ?)";

export class History {
  readonly #writes = new Map<string, Sent>();
  readonly #database: string;
  readonly #mayComeLate: boolean;
  readonly refusals = new Map<string, number>();
  acknowledged = 0;
  slowestMs = 0;

  /**
   * `mayComeLate`: a network that was cut carries what clients have given up since, so that a write
   * of unknown outcome may stand behind younger ones of its client.
   */
  constructor(database: string, { mayComeLate = false } = {}) {
    this.#database = database;
    this.#mayComeLate = mayComeLate;
  }

  get size(): number {
    return this.#writes.size;
  }

  count(outcome: Outcome): number {
    return [...this.#writes.values()].filter((write) => write.outcome === outcome).length;
  }

  /** Ids of the acknowledged writes whose epoch `isIn` takes, sorted. */
  acknowledgedIn(isIn: (epoch: number) => boolean): string[] {
    return [...this.#writes].filter(([, { outcome, epoch }]) =>
      outcome === "acknowledged" && isIn(epoch)
    ).map(([id]) => id).sort();
  }

  /** One write, sent once. With a key it may be called again with the same id until it is certain. */
  async write(
    connection: Client,
    write: Write,
    more: Record<string, unknown> = {},
  ): Promise<Outcome> {
    const id = `${write.client}/${write.number}`;
    const found = this.#writes.get(id);
    if (found && write.key === undefined) throw new Error(`${id} is written twice by the test`);
    const entry: Sent = found ?? { ...write, outcome: "unknown", epoch: 0 };
    this.#writes.set(id, entry);
    const startedMs = performance.now();
    const outcome = await this.#send(connection, entry, id, {
      ...more,
      ...(write.key === undefined ? {} : { idempotency_key: write.key }),
    });
    // A refusal says nothing about an earlier attempt whose outcome is unknown.
    if (!found || outcome === "acknowledged") entry.outcome = outcome;
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
    if (outcome === "acknowledged") this.acknowledged++;
    return outcome;
  }

  async #send(connection: Client, entry: Sent, id: string, more: object): Promise<Outcome> {
    try {
      const params = [id, entry.client, entry.number];
      const { status, body } = await connection.execute(this.#database, INSERT, params, more);
      if (status === 200) {
        entry.epoch = body.epoch;
        return "acknowledged";
      }
      const kind = String(body.error.kind);
      this.refusals.set(kind, (this.refusals.get(kind) ?? 0) + 1);
      return kind === "uncertain" ? "unknown" : "refused";
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.refusals.set("no answer", (this.refusals.get("no answer") ?? 0) + 1);
      return "unknown";
    }
  }

  /** What is wrong with the database as `client` sees it; empty when it is as it must be. */
  async problems(client: Client): Promise<string[]> {
    const rows = await client.rows(this.#database, "SELECT id FROM ledger ORDER BY rowid");
    const problems = this.judge(rows.map(([id]) => String(id)));
    const integrity = must(await client.query(this.#database, "PRAGMA integrity_check"));
    if (JSON.stringify(integrity.rows) !== '[["ok"]]') {
      problems.push(`integrity_check: ${JSON.stringify(integrity.rows)}`);
    }
    return problems;
  }

  /** `ids` in the order of the database. */
  judge(ids: readonly string[]): string[] {
    const problems: string[] = [];
    const seen = new Set<string>();
    const last = new Map<number, number>();
    for (const id of ids) {
      const write = this.#writes.get(id);
      if (!write) problems.push(`${id} is there and was never sent`);
      else if (seen.has(id)) problems.push(`${id} (${write.outcome}) is there twice`);
      else if (write.outcome === "refused") problems.push(`${id} is there and was refused`);
      else if ((last.get(write.client) ?? -1) > write.number) {
        const isLate = this.#mayComeLate && write.outcome === "unknown";
        const of = `${last.get(write.client)} of the same client`;
        if (!isLate) problems.push(`${id} (${write.outcome}) stands after ${of}`);
      }
      seen.add(id);
      if (write) last.set(write.client, Math.max(write.number, last.get(write.client) ?? -1));
    }
    for (const [id, { outcome, epoch }] of this.#writes) {
      if (outcome === "acknowledged" && !seen.has(id)) {
        problems.push(`${id}, acknowledged with epoch ${epoch}, is lost`);
      }
    }
    return problems.slice(0, 20);
  }
}
