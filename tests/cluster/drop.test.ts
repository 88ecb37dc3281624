/**
 * Databases that are rolled back, dropped and made again while clients write and read: each answer
 * is from before or from after and never a mixture, its epoch says which, and epochs only ascend.
 */
import { afterAll, expect, test } from "bun:test";
import { type Answer, type Client, must } from "../support/client.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

const folder = new NodeFolder();
const node = await folder.node({ store: folder.fileStore() }).start();
afterAll(() => folder.remove());

const READERS = 6;
const ROUNDS = 8;

/** What a reader was answered, in order. */
interface Seen {
  readonly status: number;
  readonly epoch: number;
  readonly columns: string;
  readonly values: readonly unknown[];
}

test("readers that were open before a rollback answer from the new schema", async () => {
  const client = node.client();
  must(await client.create("rolled"));
  must(await client.statements("rolled", [{ sql: LEDGER_SQL }, ...table("one", "a TEXT")]));
  const old = must(await client.execute("rolled", "INSERT INTO t VALUES ('one')")).epoch;
  const history = new History("rolled");
  const load = writers(node, history);
  const readers = new Readers(node, "rolled", "SELECT * FROM t");
  const rollbacks: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const values = "'two', 2, 2.5";
    must(
      await client.statements("rolled", [
        { sql: "DROP TABLE t" },
        ...table(`two${round}`, "a TEXT, b INTEGER, c REAL"),
        { sql: `INSERT INTO t VALUES (${values}), (${values}), (${values})` },
      ]),
    );
    await readers.more(10);
    rollbacks.push(must(await client.rollback("rolled", old)).epoch);
    await readers.more(10);
  }
  await load.stop();
  await readers.stop();
  expect(readers.problems((seen) => {
    if (seen.status !== 200) return `status ${seen.status}`;
    const after = rollbacks.filter((epoch) => epoch <= seen.epoch).length;
    const isOld = seen.columns === "a" && seen.values.every((value) => value === "one");
    const isNew = seen.columns === "a,b,c" && seen.values.length === 9;
    if (!isOld && !isNew) return "a mixture";
    // From a rollback to the next change of the schema it is the old one.
    return rollbacks.includes(seen.epoch) && !isOld ? `new after ${after} rollbacks` : null;
  })).toEqual([]);
  // What was written since the moment rolled back to is gone, but for what came after the last.
  const ids = (await client.rows("rolled", "SELECT id FROM ledger")).map(([id]) => String(id));
  const kept = history.acknowledgedIn((epoch) => epoch <= old || epoch > rollbacks.at(-1)!);
  expect(ids.sort()).toEqual(kept);
  expect(history.count("unknown")).toBe(0);
  expect(await client.rows("rolled", "PRAGMA integrity_check")).toEqual([["ok"]]);
  client.close();
}, 60_000);

test("a database is dropped and made again under load, and its epochs go on", async () => {
  const client = node.client();
  const spans: { first: number; last: number; mark: string }[] = [];
  const readers = new Readers(node, "again", "SELECT * FROM t");
  for (let round = 0; round < ROUNDS; round++) {
    const made = must(await client.create("again"));
    const mark = `round ${round}`;
    const columns = round % 2 === 0 ? "a TEXT" : "z INTEGER, a TEXT";
    const values = round % 2 === 0 ? `'${mark}'` : `${round}, '${mark}'`;
    const sql = `INSERT INTO t VALUES (${values})`;
    const filled = must(
      await client.statements("again", [{ sql: LEDGER_SQL }, ...table(mark, columns), { sql }]),
    );
    expect(filled.epoch).toBeGreaterThan(made.tip);
    const history = new History("again");
    const load = writers(node, history);
    await readers.more(20);
    const dropped = must(await client.drop("again"));
    await load.stop();
    spans.push({ first: filled.epoch, last: dropped.epoch, mark });
    expect(history.acknowledgedIn((epoch) => epoch >= dropped.epoch)).toEqual([]);
    for (const kind of history.refusals.keys()) expect(["missing", "invalid"]).toContain(kind);
    expect((await client.query("again", "SELECT 1")).status).toBe(404);
  }
  await readers.stop();
  const marks = new Set<unknown>();
  expect(readers.problems((seen) => {
    // Between two lives there is no database, or one without the table.
    if (seen.status === 404 || seen.status === 400) return null;
    if (seen.status !== 200) return `status ${seen.status}`;
    const life = spans.find(({ first, last }) => seen.epoch >= first && seen.epoch < last);
    marks.add(seen.values.at(-1));
    if (!life) return "of no life";
    return seen.values.at(-1) === life.mark ? null : `not ${life.mark}`;
  })).toEqual([]);
  expect(marks.size).toBe(ROUNDS);
  expect((await client.get("/v1/databases/again")).status).toBe(404);
  client.close();
}, 60_000);

test("names that are created by many at once are created once", async () => {
  const clients = Array.from({ length: 8 }, () => node.client());
  for (let round = 0; round < 3; round++) {
    const created = await Promise.all(clients.map((client) => client.create("race")));
    expect(created.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)]);
    const dropped = await Promise.all(clients.map((client) => client.drop("race")));
    expect(dropped.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(404)]);
  }
  for (const client of clients) client.close();
}, 60_000);

/** A table with other root pages in front of it each time, so that pages change their meaning. */
function table(mark: string, columns: string) {
  return [
    { sql: `CREATE TABLE "before ${mark}" (x)` },
    { sql: `CREATE TABLE t (${columns})` },
  ];
}

/** Ten clients that write until they are told to stop. */
function writers(node: NodeProcess, history: History) {
  let over = false;
  const running = Array.from({ length: 10 }, async (_, index) => {
    const client = node.client();
    for (let number = 1; !over; number++) await history.write(client, { client: index, number });
    client.close();
  });
  return {
    stop: async () => {
      over = true;
      await Promise.all(running);
    },
  };
}

/** Clients that ask one query again and again and keep what they see. */
class Readers {
  readonly #seen: Seen[][];
  readonly #clients: Client[];
  readonly #running: Promise<void>[];
  #over = false;

  constructor(node: NodeProcess, database: string, sql: string) {
    this.#clients = Array.from({ length: READERS }, () => node.client());
    this.#seen = this.#clients.map(() => []);
    this.#running = this.#clients.map(async (client, index) => {
      while (!this.#over) this.#seen[index]!.push(seenIn(await client.query(database, sql)));
    });
  }

  /** Resolves when each has been answered `count` more times. */
  async more(count: number): Promise<void> {
    const wanted = this.#seen.map((seen) => seen.length + count);
    while (this.#seen.some((seen, index) => seen.length < wanted[index]!)) await Bun.sleep(2);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.close();
  }

  /** What `judge` says of answers, and answers from before an earlier one. */
  problems(judge: (seen: Seen) => string | null): string[] {
    return this.#seen.flatMap((answers, reader) => {
      let last = 0;
      return answers.flatMap((seen) => {
        const problem = judge(seen) ??
          (seen.status === 200 && seen.epoch < last ? `after epoch ${last}` : null);
        if (seen.status === 200) last = seen.epoch;
        return problem ? [`reader ${reader}: ${JSON.stringify(seen)}: ${problem}`] : [];
      });
    }).slice(0, 10);
  }
}

function seenIn({ status, body }: Answer): Seen {
  if (status !== 200) return { status, epoch: 0, columns: "", values: [body.error.message] };
  return { status, epoch: body.epoch, columns: body.columns.join(), values: body.rows.flat() };
}
