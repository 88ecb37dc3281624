/**
 * A copy of the whole store under another name, with the same secret and the same addresses in it,
 * is another cluster: its nodes never join the original's, though they call each other, and nothing
 * that either writes reaches the other (I13).
 */
import { afterAll, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { must } from "../support/client.ts";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import { LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

/** The heartbeat in the copy stands still, which its nodes notice soon. */
const set = {
  "cluster_mode.leader_heartbeat_interval_secs": 1,
  "cluster_mode.leader_stale_threshold_secs": 2,
};
const TRIES_MS = 5_000;
const INSERT = "INSERT INTO ledger VALUES (?, 1, 1)";

const folder = new NodeFolder();
const store = folder.fileStore();
const copy = folder.fileStore();
const original = new ClusterNodes(folder, { store, set }, 2);
const copied = new ClusterNodes(folder, { store: copy, set }, 2);

afterAll(async () => {
  await original.stop();
  await copied.stop();
  await folder.remove();
});

test("nodes on a copy of the store never join the original's cluster [I13]", async () => {
  await original.start();
  const before = await original.settled();
  const client = original.client(before.leader);
  must(await client.create("app"));
  must(await client.execute("app", LEDGER_SQL));
  must(await client.execute("app", INSERT, ["both"]));
  cpSync(pathOf(store), pathOf(copy), { recursive: true });

  await copied.start();
  const ids = (nodes: readonly NodeProcess[]) => nodes.map(({ id }) => id).sort();
  const rosters: { side: string; ids: string[] }[] = [];
  const look = async () => {
    for (const [side, cluster] of [["original", original], ["copied", copied]] as const) {
      for (const node of cluster.nodes) {
        const status = await cluster.status(node);
        if (status) rosters.push({ side, ids: status.nodes.map(({ id }) => id) });
      }
    }
  };
  // They call the addresses that they find in their store, and are turned down.
  const [one] = copied.nodes as [NodeProcess];
  await eventually("the copy calls the original", async () => {
    await look();
    const called = new RegExp(`(turned down|could not tell).*(${ids(original.nodes).join("|")})`);
    return copied.nodes.some(({ log }) => called.test(log));
  }, { instead: () => copied.logs() });
  await eventually("the copy has a leader of its own", async () => {
    await look();
    const leaders = await Promise.all(copied.nodes.map((node) => copied.status(node)));
    return leaders.every((status) => ids(copied.nodes).includes(status?.leader?.id ?? ""));
  }, { instead: () => copied.logs() });
  const untilMs = performance.now() + TRIES_MS;
  while (performance.now() < untilMs) {
    await look();
    await Bun.sleep(100);
  }
  expect(new Set(rosters.map(({ side }) => side)).size).toBe(2);
  for (const { side, ids: listed } of rosters) {
    const strangers = ids(side === "original" ? copied.nodes : original.nodes);
    expect(listed.filter((id) => strangers.includes(id))).toEqual([]);
  }
  await copied.settled();

  must(await copied.client(one).execute("app", INSERT, ["copy"]));
  must(await client.execute("app", INSERT, ["original"]));
  expect(await rowsOf(copied)).toEqual([["both"], ["copy"]]);
  expect(await rowsOf(original)).toEqual([["both"], ["original"]]);
  const after = await original.settled();
  expect([after.leader.id, after.term]).toEqual([before.leader.id, before.term]);
}, 120_000);

async function rowsOf(cluster: ClusterNodes): Promise<unknown[][]> {
  await cluster.agreed();
  const rows = await Promise.all(
    cluster.clients.map((client) => client.rows("app", "SELECT id FROM ledger ORDER BY rowid")),
  );
  expect(new Set(rows.map((some) => JSON.stringify(some))).size).toBe(1);
  return rows[0]!;
}

function pathOf(url: string): string {
  return new URL(url).pathname;
}
