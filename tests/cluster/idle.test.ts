/**
 * A node that nobody uses costs next to nothing: no request to the store but its heartbeat and its
 * broker file, hardly any processor time, little memory. Figures are printed; what is asserted
 * about them is wider than what is wanted, since machines differ.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { SqlClient } from "../support/sql-client.ts";

const IDLE_MS = 20_000;
const HEARTBEAT_S = 2;
const RECORD_S = 5;
const CPU_PERCENT_WANTED = 1;
const MEMORY_MIB_WANTED = 120;
/** proc(5): clock ticks a second, on every Linux there is. */
const TICKS_PER_SECOND = 100;

const nodes = new NodeFolder();
let node: NodeProcess;
let client: SqlClient;

interface Seen {
  readonly requests: ReadonlyMap<string, number>;
  readonly cpuMs: number;
  readonly atMs: number;
}
let before: Seen;
let after: Seen;

beforeAll(async () => {
  const set = {
    "cluster_mode.leader_heartbeat_interval_secs": HEARTBEAT_S,
    "cluster_mode.broker_heartbeat_interval_secs": RECORD_S,
  };
  node = await nodes.node({ store: nodes.fileStore(), set }).start();
  client = new SqlClient(node.url);
  await client.create("idle");
  await client.execute("idle", ["CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"]);
  expect(await client.query("idle", "SELECT x FROM t")).toEqual([[1]]);
  console.log(`after the first write and read: ${memoryText()}`);
  await Bun.sleep(3_000);
  before = await look();
  await Bun.sleep(IDLE_MS);
  after = await look();
}, 60_000);
afterAll(() => nodes.remove());

async function look(): Promise<Seen> {
  const metrics = await client.metrics();
  const requests = [...metrics].filter(([name]) =>
    name.startsWith("headgate_store_requests_total")
  );
  return { requests: new Map(requests), cpuMs: cpuMs(), atMs: performance.now() };
}

describe("an idle owner", () => {
  test("makes no request but its heartbeat and its broker file", () => {
    const made = [...after.requests]
      .map(([name, count]) => [name, count - (before.requests.get(name) ?? 0)] as const)
      .filter(([, count]) => count > 0);
    console.log(`requests in ${IDLE_MS / 1000} s:`, Object.fromEntries(made));
    const heartbeats = IDLE_MS / 1000 / HEARTBEAT_S;
    const records = IDLE_MS / 1000 / RECORD_S;
    const replaces = made.filter(([name]) => name.includes('operation="replace"'));
    const sum = (counts: typeof made) => counts.reduce((all, [, count]) => all + count, 0);
    expect(sum(replaces)).toBeWithin(
      Math.floor(heartbeats + records) - 3,
      Math.ceil(heartbeats + records) + 3,
    );
    // The broker file is read before it is written: a newer process may have taken this node's id.
    expect(sum(made) - sum(replaces)).toBeLessThanOrEqual(records + 1);
  });

  test("uses less than 1 % of a core", () => {
    const percent = (after.cpuMs - before.cpuMs) / (after.atMs - before.atMs) * 100;
    console.log(`processor, children included: ${percent.toFixed(2)} % of a core`);
    // A turn of the processor costs several times as much on some machines; a loop would take 100 %.
    expect(percent).toBeLessThan(15 * CPU_PERCENT_WANTED);
  });

  test("needs less than 120 MB, its children included", () => {
    console.log(memoryText());
    expect(memoryMib()).toBeLessThan(2 * MEMORY_MIB_WANTED);
  });
});

test("a node that was just started needs less than 120 MB", async () => {
  await node.kill();
  await node.start();
  await Bun.sleep(1_000);
  console.log(`freshly started: ${memoryText()}`);
  expect(memoryMib()).toBeLessThan(2 * MEMORY_MIB_WANTED);
});

function processes(): { readonly pid: number; readonly name: string }[] {
  const children = node.children().map(({ pid, command }) => ({
    pid,
    name: /__child (\w+)/.exec(command)?.[1] ?? "child",
  }));
  return [{ pid: node.pid, name: "node" }, ...children];
}

function cpuMs(): number {
  return processes().reduce((all, { pid }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return all + (Number(fields[11]) + Number(fields[12])) * 1000 / TICKS_PER_SECOND;
  }, 0);
}

/** proc(5): the proportional share of each process, so that shared pages count once. */
function pssMib(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0) / 1024;
}

function memoryMib(): number {
  return processes().reduce((all, { pid }) => all + pssMib(pid), 0);
}

function memoryText(): string {
  const parts = processes().map(({ pid, name }) => `${name} ${pssMib(pid).toFixed(0)}`);
  return `PSS ${memoryMib().toFixed(0)} MiB (${parts.join(", ")})`;
}
