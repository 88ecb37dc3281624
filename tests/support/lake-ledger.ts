/**
 * Clients that bring rows to a lake whatever becomes of its nodes, and a ledger of what they brought.
 * Each request has a key and is sent again, to the next node after anything but a success, until it
 * is answered: so at the end every row that was ever sent must be there, each once.
 */
import { type LakeAnswer, LakeClient, lines } from "./lake-client.ts";
import type { NodeProcess } from "./node-process.ts";
import type { TestRandom } from "./seed.ts";

export interface LedgerOptions {
  readonly lake: string;
  readonly tables: readonly string[];
  readonly clients: number;
  readonly random: TestRandom;
}

/** One request's rows are numbered from 0. */
interface Request {
  readonly table: string;
  readonly client: number;
  readonly number: number;
  readonly rows: number;
}

interface Acknowledged extends Request {
  readonly epoch: number;
}

/** Too many bytes to stand in a catalog. */
const LARGE_ROWS = 12_000;
const SMALL_ROWS_MAX = 40;
const PAD = "x".repeat(80);
/** After a refusal, before the next node is asked. */
const REFUSED_PAUSE_MS = 50;
/** Shorter than an election takes at its worst, so that some are in doubt. */
const TIMEOUT_MS = 3_000;

export class LakeLedger {
  readonly #nodes: readonly NodeProcess[];
  readonly #options: LedgerOptions;
  readonly #acknowledged: Acknowledged[] = [];
  readonly #running: Promise<void>[];
  #isOver = false;
  #sentAgain = 0;
  /** What no retry can mend, and answers that do not say what was sent. */
  readonly problems: string[] = [];

  constructor(nodes: readonly NodeProcess[], options: LedgerOptions) {
    this.#nodes = nodes;
    this.#options = options;
    this.#running = Array.from({ length: options.clients }, (_, index) => this.#bring(index));
  }

  /** Requests that were answered, and attempts that were not the first. */
  get counts(): { readonly acknowledged: number; readonly sentAgain: number } {
    return { acknowledged: this.#acknowledged.length, sentAgain: this.#sentAgain };
  }

  /** What whoever reads the table at this epoch must find at least; null before the first answer. */
  promised(table: string): { readonly epoch: number; readonly rows: number } | null {
    const own = this.#acknowledged.filter((one) => one.table === table);
    if (own.length === 0) return null;
    return {
      epoch: own.reduce((most, { epoch }) => Math.max(most, epoch), 0),
      rows: own.reduce((sum, { rows }) => sum + rows, 0),
    };
  }

  /** Resolves when the last request of each client is answered. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  /** All that must be there of a table, as `LEDGER_SQL` answers it. */
  expected(table: string): string[] {
    return this.#acknowledged
      .filter((one) => one.table === table)
      .map(({ client, number, rows }) => [client, number, rows, rows, 0, rows - 1].join())
      .sort();
  }

  async #bring(client: number): Promise<void> {
    const { random, tables } = this.#options;
    const home = client % this.#nodes.length;
    for (let number = 1; !this.#isOver; number++) {
      const rows = random.below(12) === 0 ? LARGE_ROWS : 1 + random.below(SMALL_ROWS_MAX);
      await this.#send({ table: tables[client % tables.length]!, client, number, rows }, home);
    }
  }

  async #send(request: Request, home: number): Promise<void> {
    const { table, client, number, rows } = request;
    const body = lines(
      Array.from({ length: rows }, (_, row) => ({ client, number, row, pad: PAD })),
    );
    for (let attempt = 0;; attempt++) {
      if (attempt > 0) this.#sentAgain++;
      const node = this.#nodes[(home + attempt) % this.#nodes.length]!;
      const answer = await this.#try(node, table, body, `${client}-${number}`);
      if (answer?.status === 200) {
        const { epoch, rows: stored } = answer.body;
        if (stored !== rows) this.problems.push(`${stored} of ${rows} rows: ${client}-${number}`);
        this.#acknowledged.push({ ...request, epoch });
        return;
      }
      if (answer && answer.status < 500 && answer.status !== 429 && answer.status !== 307) {
        this.problems.push(`${client}-${number}: ${answer.bytes.toString().slice(0, 300)}`);
        return;
      }
      await Bun.sleep(REFUSED_PAUSE_MS);
    }
  }

  /** Null where there was no answer. */
  async #try(
    node: NodeProcess,
    table: string,
    body: string,
    key: string,
  ): Promise<LakeAnswer | null> {
    const client = new LakeClient(node.url);
    try {
      const options = { key, create: true, timeoutMs: TIMEOUT_MS };
      return await client.rows(this.#options.lake, table, body, options);
    } catch {
      return null;
    } finally {
      client.close();
    }
  }
}

/** A line a request: its rows, its different rows, and the first and the last of them. */
export function ledgerSql(table: string): string {
  return `SELECT concat_ws(',', client, number, count(*), count(DISTINCT "row"), min("row"), ` +
    `max("row")) AS line FROM ${table} GROUP BY client, number ORDER BY line`;
}
