/**
 * Every row is there once while its files are rewritten under it: many small requests, flushed, merged
 * and their snapshots expired by any node at any time, and the leader killed in the middle of that.
 * ROUNDS=20 runs longer; SEED replays chance.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import { LakeClient, lines, must } from "../support/lake-client.ts";
import { LakeLedger, ledgerSql } from "../support/lake-ledger.ts";
import { NodeFolder } from "../support/node-process.ts";
import { seededRandom } from "../support/seed.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? "3");
const LAKE = "kept";
const TABLES = ["events", "clicks"];
const CLIENTS = 4;
const MERGES_A_ROUND = 2;
const READ_MS = 20_000;

const folder = new NodeFolder();
const set = { "storage.simulate_latency_ms": 5 };
const store = folder.fileStore();
const cluster = new ClusterNodes(folder, { store, set }, 3);
const { random, seed } = seededRandom();
console.log(`lake-upkeep.test.ts: SEED=${seed} ROUNDS=${ROUNDS}`);

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

/** Asks all nodes in turn for upkeep, whatever becomes of them. */
class Housekeeper {
  isOver = false;
  readonly done = { flushed: 0, merged: 0, merges: 0, expired: 0 };
  readonly problems: string[] = [];

  async run(first: number): Promise<void> {
    for (let turn = first; !this.isOver; turn++) {
      await this.#keep(cluster.nodes[turn % cluster.nodes.length]!.url, turn).catch(() => {});
      await Bun.sleep(random.below(60));
    }
  }

  async #keep(url: string, turn: number): Promise<void> {
    const client = new LakeClient(url);
    const ask = async (what: string, body: object) => {
      const answer = await client.json("POST", `/v1/lakes/${LAKE}/${what}`, body);
      if (answer.status === 200) return answer.body;
      const isExpected = answer.status >= 500 || answer.status === 429 || answer.status === 404 ||
        answer.status === 409;
      const said = answer.bytes.toString().slice(0, 300);
      if (!isExpected || said.includes("corrupt")) this.problems.push(`${what}: ${said}`);
      return null;
    };
    try {
      this.done.flushed += (await ask("flush", {}))?.rows ?? 0;
      const merged = (await ask("merge", {}))?.merged ?? 0;
      this.done.merged += merged;
      this.done.merges += merged > 0 ? 1 : 0;
      if (turn % 4 === 0) {
        this.done.expired += (await ask("expire", { older_than: "1s" }))?.snapshots ?? 0;
      }
    } finally {
      client.close();
    }
  }
}

describe("rows", () => {
  test(
    "are there once while files are merged, snapshots expire and leaders are killed",
    async () => {
      const options = { lake: LAKE, tables: TABLES, clients: CLIENTS, random };
      const ledger = new LakeLedger(cluster.nodes, options);
      const keeper = new Housekeeper();
      const keeping = keeper.run(0);
      for (let round = 0; round < ROUNDS; round++) {
        const { merges } = keeper.done;
        const { leader } = await cluster.settled();
        await Bun.sleep(random.below(1_500));
        await leader.kill();
        await Bun.sleep(random.below(500));
        await leader.start();
        const instead = () => `${JSON.stringify(keeper.done)}${cluster.logs()}`;
        const look = () => keeper.done.merges >= merges + MERGES_A_ROUND;
        await eventually("files are merged again", look, { withinMs: 60_000, instead });
        expect([...ledger.problems, ...keeper.problems]).toEqual([]);
      }
      await cluster.settled();
      await ledger.stop();
      keeper.isOver = true;
      await keeping;
      console.log(JSON.stringify({ ...ledger.counts, ...keeper.done }));
      expect([...ledger.problems, ...keeper.problems]).toEqual([]);
      expect(keeper.done.expired).toBeGreaterThan(0);
      for (const node of cluster.nodes) {
        const client = new LakeClient(node.url);
        for (const table of TABLES) {
          const { epoch } = ledger.promised(table)!;
          const more = { min_epoch: epoch, timeout_ms: READ_MS };
          const rows = await client.select(LAKE, ledgerSql(table), more);
          expect(rows.map(([line]) => line)).toEqual(ledger.expected(table));
        }
        client.close();
      }
    },
    60_000 + ROUNDS * 90_000,
  );

  test("are the same in every snapshot before and after a merge", async () => {
    const client = new LakeClient(cluster.nodes[0]!.url);
    const counts: number[][] = [];
    for (let id = 1; id <= 6; id++) {
      const row = lines([{ id, text: `row ${id}` }]);
      const { snapshot } = must(await client.rows(LAKE, "few", row, { create: true }));
      counts.push([snapshot, id]);
      must(await client.json("POST", `/v1/lakes/${LAKE}/flush`, { table: "few" }));
    }
    const read = () =>
      Promise.all(counts.map(async ([snapshot]) => {
        const rows = await client.select(LAKE, "SELECT count(*) FROM few", { snapshot });
        return [snapshot, ...rows[0]!];
      }));
    expect(await read()).toEqual(counts);
    const merged = must(await client.json("POST", `/v1/lakes/${LAKE}/merge`, { table: "few" }));
    // The leader may have been faster with some of them.
    expect(merged.into).toBeLessThanOrEqual(1);
    expect(await read()).toEqual(counts);
    client.close();
  }, 60_000);

  test("can be read by any SQLite from the copy of the catalog in the bucket", async () => {
    const folder = store.replace("file://", "");
    const path = join(folder, `cluster_state/catalogs/backups/${LAKE}/latest.sqlite`);
    const client = new LakeClient(cluster.nodes[0]!.url);
    let id = 100;
    await eventually("a copy of the catalog", async () => {
      // What the leader merges by itself makes it copy.
      for (let files = 0; files < 4; files++) {
        must(await client.rows(LAKE, "few", lines([{ id: id++, text: "more" }]), { create: true }));
        must(await client.json("POST", `/v1/lakes/${LAKE}/flush`, { table: "few" }));
      }
      return existsSync(path);
    }, { withinMs: 60_000 });
    client.close();
    using database = new Database(path, { readonly: true });
    const [[check]] = database.query("PRAGMA integrity_check").values() as [[unknown]];
    const tables = database.query("SELECT table_name FROM ducklake_table").values().flat();
    // It may be a minute old.
    expect([check, tables.length > 0]).toEqual(["ok", true]);
  }, 90_000);
});
