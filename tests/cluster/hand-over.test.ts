/**
 * The leader is told to end while clients write a thousand rows a second at the other nodes, on a
 * store that takes 30 ms: it hands over, none of their requests fails, and they wait for a moment
 * only. How long is printed; it is bounded generously, since the machine may be busy.
 *
 *   ROUNDS=50 bun test tests/cluster/hand-over.test.ts      the figures of docs/performance.md
 */
import { afterAll, expect, test } from "bun:test";
import { must } from "../support/client.ts";
import { ClusterNodes } from "../support/cluster-nodes.ts";
import { eventually } from "../support/eventually.ts";
import { figures } from "../support/figures.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder } from "../support/node-process.ts";
import { seededRandom } from "../support/seed.ts";
import { now, SteadyWriters } from "../support/steady-writers.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const ROUND_MS = 30_000;
const CLIENTS = 60;
const WRITES_A_SECOND = 500;
const TIMEOUT_MS = 10_000;
const PUT_MS = 30;
const AFTER_MS = 500;
const PAUSE_MS_MAX = 4_000;

const folder = new NodeFolder();
const { random, seed } = seededRandom();
console.log(`hand-over.test.ts: SEED=${seed}, ${ROUNDS} rounds`);
const cluster = new ClusterNodes(folder, {
  store: folder.fileStore(),
  set: { "storage.simulate_latency_ms": PUT_MS },
}, 3);

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

test("a leader that is told to end hands over, and no request at another node fails", async () => {
  await cluster.start();
  const { leader } = await cluster.settled();
  must(await cluster.client(leader).create("app"));
  must(await cluster.client(leader).execute("app", LEDGER_SQL));
  const history = new History("app");
  const pauses: number[] = [];
  for (let round = 0; round < ROUNDS; round++) pauses.push(await handOver(history, round));
  await cluster.agreed();
  for (const client of cluster.clients) expect(await history.problems(client)).toEqual([]);
  console.log(
    `SIGTERM: longest pause of writes at another node ${figures(pauses)}; ` +
      `${history.count("acknowledged")} acknowledged of ${history.size} writes`,
  );
  expect(history.count("acknowledged")).toBe(history.size);
  expect(Math.max(...pauses)).toBeLessThan(PAUSE_MS_MAX);
}, ROUNDS * ROUND_MS + 60_000);

/** Resolves with the longest time without an acknowledgement at either of the other nodes. */
async function handOver(history: History, round: number): Promise<number> {
  const before = await cluster.settled();
  const load = { writesASecond: WRITES_A_SECOND, clients: CLIENTS, timeoutMs: TIMEOUT_MS };
  const writers = before.others.map((node, at) =>
    new SteadyWriters([node], history, { ...load, firstClient: (2 * round + at) * CLIENTS })
  );
  const aimed = history.acknowledged + WRITES_A_SECOND;
  await eventually("the clients write", () => history.acknowledged >= aimed);
  await Bun.sleep(random.below(100));
  const toldMs = now();
  const ended = await before.leader.kill("SIGTERM");
  await Bun.sleep(AFTER_MS);
  await Promise.all(writers.map((some) => some.stop()));
  const { log } = before.leader;
  expect({ ...ended, refusals: [...history.refusals], log }).toEqual({
    code: 0,
    signal: null,
    refusals: [],
    log,
  });
  await before.leader.start();
  const after = await cluster.settled();
  expect(after.term).toBe(before.term + 1);
  expect(after.leader).not.toBe(before.leader);
  return Math.max(...writers.map((some) => some.longestGapMs(toldMs)));
}
