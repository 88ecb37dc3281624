/**
 * Every row that a client was told is stored is there, once, and no other, through anything that may
 * be killed: nodes, the leader among them, and the processes that load and query. Read at the end by
 * our own query at every node, and by the real DuckLake. ROUNDS=20 runs longer; SEED replays chance.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { Judge, missing } from "../support/ducklake.ts";
import { eventually } from "../support/eventually.ts";
import { LakeClient, must } from "../support/lake-client.ts";
import { LakeLedger, ledgerSql } from "../support/lake-ledger.ts";
import { NodeFolder } from "../support/node-process.ts";
import { seededRandom } from "../support/seed.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? "5");
const CLIENTS = 18;
const LAKE = "ledger";
const TABLES = ["events", "clicks"];
const REQUESTS_A_ROUND = 80;

const folder = new NodeFolder();
const set = { "storage.simulate_latency_ms": 5 };
const cluster = new ClusterNodes(folder, { store: folder.fileStore(), set }, 3);
const { random, seed } = seededRandom();
console.log(`lake-ledger.test.ts: SEED=${seed} ROUNDS=${ROUNDS}`);
let ledger: LakeLedger;
let childrenKilled = 0;

beforeAll(async () => {
  await cluster.start();
  const { others } = await cluster.settled();
  const client = new LakeClient(others[0]!.url);
  must(await client.create(LAKE));
  client.close();
}, 60_000);
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

/** What may happen in a round; each is over when all nodes run again. */
const MISHAPS = {
  "the leader is killed": async () => {
    const { leader } = await cluster.settled();
    await leader.kill();
    await Bun.sleep(random.below(1_500));
    await leader.start();
  },
  "a broker is killed": async () => {
    const { others } = await cluster.settled();
    const broker = others[random.below(others.length)]!;
    await broker.kill();
    await Bun.sleep(random.below(800));
    await broker.start();
  },
  "loaders and queries are killed": async () => {
    for (let count = 0; count < 6; count++) {
      killChildren(/ (?:loader|query) /);
      await Bun.sleep(random.below(150));
    }
  },
  "a broker and then the leader are killed": async () => {
    const { leader, others } = await cluster.settled();
    const broker = others[random.below(others.length)]!;
    await broker.kill();
    await broker.start();
    await Bun.sleep(random.below(300));
    await leader.kill();
    await leader.start();
  },
  "writers of the leader are killed": async () => {
    for (let count = 0; count < 3; count++) {
      killChildren(/ writer /);
      await Bun.sleep(random.below(200));
    }
  },
};

function killChildren(command: RegExp): void {
  for (const node of cluster.nodes) {
    for (const child of node.children()) {
      if (!command.test(`${child.command} `)) continue;
      childrenKilled++;
      process.kill(child.pid, "SIGKILL");
    }
  }
}

/** Reads while all this happens: what was promised must be there. */
class Reader {
  isOver = false;
  answered = 0;
  readonly problems: string[] = [];

  async run(): Promise<void> {
    for (let turn = 0; !this.isOver; turn++) {
      const table = TABLES[turn % TABLES.length]!;
      const client = new LakeClient(cluster.nodes[turn % cluster.nodes.length]!.url);
      await this.#look(client, table).catch(() => {});
      client.close();
      await Bun.sleep(50);
    }
  }

  async #look(client: LakeClient, table: string): Promise<void> {
    const promised = ledger.promised(table);
    if (promised === null) return;
    const sql = `SELECT count(*), count(DISTINCT (client, number, "row")) FROM ${table}`;
    const more = { min_epoch: promised.epoch, timeout_ms: 10_000 };
    const { status, body } = await client.query(LAKE, sql, more);
    if (status !== 200) return;
    this.answered++;
    const [[all, different]] = body.rows;
    if (all >= promised.rows && all === different) return;
    const found = `${all} rows, ${different} different ones`;
    this.problems.push(`${table}: promised ${promised.rows} at ${promised.epoch}, found ${found}`);
  }
}

describe("rows", () => {
  test("that were acknowledged are there once, whatever is killed", async () => {
    ledger = new LakeLedger(cluster.nodes, {
      lake: LAKE,
      tables: TABLES,
      clients: CLIENTS,
      random,
    });
    const reader = new Reader();
    const reading = reader.run();
    const mishaps = Object.entries(MISHAPS);
    for (let round = 0; round < ROUNDS; round++) {
      const [what, happen] = mishaps[round % mishaps.length]!;
      const { acknowledged } = ledger.counts;
      await happen();
      const instead = () => `${what}: ${JSON.stringify(ledger.counts)}${cluster.logs()}`;
      const look = () => ledger.counts.acknowledged >= acknowledged + REQUESTS_A_ROUND;
      await eventually("requests are answered again", look, { withinMs: 60_000, instead });
      expect({ what, problems: [...ledger.problems, ...reader.problems] })
        .toEqual({ what, problems: [] });
    }
    await cluster.settled();
    await ledger.stop();
    reader.isOver = true;
    await reading;
    expect([...ledger.problems, ...reader.problems]).toEqual([]);
    expect(reader.answered).toBeGreaterThan(0);
    expect(childrenKilled).toBeGreaterThan(0);
    console.log(JSON.stringify({ ...ledger.counts, read: reader.answered, childrenKilled }));
    for (const node of cluster.nodes) {
      const client = new LakeClient(node.url);
      for (const table of TABLES) {
        const { epoch } = ledger.promised(table)!;
        const rows = await client.select(LAKE, ledgerSql(table), { min_epoch: epoch });
        const expected = ledger.expected(table);
        expect(expected.length).toBeGreaterThan(0);
        expect(rows.map(([line]) => line)).toEqual(expected);
      }
      client.close();
    }
  }, 60_000 + ROUNDS * 90_000);

  test.skipIf(missing !== null)("are the same for the real DuckLake", async () => {
    await using judge = await Judge.open();
    const client = new LakeClient(cluster.nodes[1]!.url);
    const catalog = await client.get(`/v1/lakes/${LAKE}/catalog`);
    client.close();
    expect(catalog.status).toBe(200);
    writeFileSync(judge.path("catalog.db"), catalog.bytes);
    await judge.attached("catalog.db", "READ_ONLY", async () => {
      for (const table of TABLES) {
        const rows = await judge.rows(ledgerSql(`lake.${table}`));
        expect(rows.map(([line]) => line as string)).toEqual(ledger.expected(table));
      }
    });
  }, 60_000);
});
