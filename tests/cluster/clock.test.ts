/**
 * Clocks decide nothing (I11): a node whose clock is an hour off, and clocks that step by a minute,
 * change neither who leads nor what a token or an idempotency key is worth. From the sources, since
 * a released binary believes the machine's clock.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must } from "../support/client.ts";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { SteadyWriters } from "../support/steady-writers.ts";
import { StoredChains } from "../support/stored-chains.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Longer than silence takes to be noticed and watched. */
const AFTER_STEP_MS = 8_000;
const SLOWEST_MS_MAX = 4_000;
const main = join(import.meta.dir, "../../main.ts");

const folder = new NodeFolder();
const clusters: ClusterNodes[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});
afterAll(() => folder.remove());

describe("a cluster of which", () => {
  for (const role of ["leader", "follower"] as const) {
    test(`the ${role}'s clock is an hour ahead, then steps back and forth [I11]`, async () => {
      const store = folder.fileStore();
      const options = { store, fromSource: true, set: { "auth.required": "true" } };
      const cluster = new ClusterNodes(folder, options, 3);
      clusters.push(cluster);
      // The first to start leads.
      const [first, second] = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess];
      const odd = role === "leader" ? first : second;
      for (const node of cluster.nodes) {
        setClock(node, node === odd ? HOUR_MS : 0);
        await node.start({ HEADGATE_TEST_CLOCK_OFFSET: clockFile(node) });
        cluster.token ??= mintToken(store);
      }
      const before = await cluster.settled();
      expect(before.leader).toBe(first);
      const client = cluster.client(first);
      must(await client.create("app"));
      must(await client.statements("app", [{ sql: LEDGER_SQL }]));
      const history = new History("app");
      const load = { writesASecond: 100, clients: 20, timeoutMs: 5_000, token: cluster.token! };
      const writers = new SteadyWriters(cluster.nodes, history, load);
      for (const stepMs of [HOUR_MS + MINUTE_MS, HOUR_MS - MINUTE_MS, -HOUR_MS]) {
        const answer = await keyed(cluster, first, `step ${stepMs}`);
        setClock(odd, stepMs);
        await Bun.sleep(AFTER_STEP_MS);
        // The same key at every node is the same answer.
        for (const node of cluster.nodes) {
          expect(await keyed(cluster, node, `step ${stepMs}`)).toEqual(answer);
        }
      }
      await writers.stop();
      const after = await cluster.settled();
      expect([after.leader.id, after.term]).toEqual([before.leader.id, before.term]);
      const chains = await StoredChains.open(store);
      for (const database of ["system", "app"]) {
        expect((await chains.claims(database)).length).toBe(1);
      }
      await chains.close();
      await cluster.agreed();
      expect(await history.problems(client)).toEqual([]);
      expect([history.count("refused"), history.count("unknown")]).toEqual([0, 0]);
      expect(history.slowestMs).toBeLessThan(SLOWEST_MS_MAX);
      expectQuiet(cluster);
    }, 120_000);
  }
});

/** One write with a key, sent once more to whichever node. */
async function keyed(cluster: ClusterNodes, node: NodeProcess, key: string): Promise<unknown> {
  const more = { idempotency_key: key };
  const sql = "INSERT INTO ledger VALUES ('', -1, 0) RETURNING rowid";
  must(await cluster.client(node).execute("app", "DELETE FROM ledger WHERE client = -1"));
  return must(await cluster.client(node).execute("app", sql, [], more));
}

/** Nobody stood for election after the first links stood. */
function expectQuiet(cluster: ClusterNodes): void {
  for (const { log } of cluster.nodes) {
    const servingAt = log.lastIndexOf(" serving ");
    expect(servingAt).toBeGreaterThan(-1);
    expect(log.slice(servingAt)).not.toMatch(/to=(asking|candidate|claiming|watching)/);
  }
}

/** A token that lives for ten minutes, from access to the store alone. */
function mintToken(store: string): string {
  const args = ["token", "create", "--store", store, "--expires", "10m"];
  const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, main, ...args]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return stdout.toString().trim();
}

function clockFile(node: NodeProcess): string {
  return join(node.directory, "clock");
}

function setClock(node: NodeProcess, offsetMs: number): void {
  mkdirSync(node.directory, { recursive: true });
  writeFileSync(clockFile(node), String(offsetMs));
}
