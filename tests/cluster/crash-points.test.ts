/**
 * Create, drop, roll back and plain writes, under load, with the process ended at every step in
 * turn: at the next start the operation has happened wholly or not at all, or is finished, and the
 * list of databases and the chains in the store agree. A released binary has no such points.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chainFiles } from "../support/chain-files.ts";
import { type Answer, type Client, must, NoAnswer } from "../support/client.ts";
import { History, LEDGER_SQL } from "../support/history.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

const folder = new NodeFolder();
afterAll(() => folder.remove());

/** A crash point, and whether the operation is durable once it is reached. */
const CREATE = [
  { point: "claim.before_append@2", happened: false },
  { point: "claim.after_append@2", happened: false },
  { point: "create.before_row", happened: false },
  { point: "create.after_row", happened: true },
];
const DROP = [
  { point: "claim.before_append@2", happened: false },
  { point: "claim.after_append@2", happened: false },
  { point: "rewrite.tombstone.before_append", happened: false },
  { point: "rewrite.tombstone.after_append", happened: true },
  { point: "drop.after_tombstone", happened: true },
  { point: "snapshot.before_create", happened: true },
  { point: "snapshot.after_create", happened: true },
  { point: "drop.after_snapshot", happened: true },
  { point: "drop.after_row", happened: true },
];
const ROLLBACK = [
  { point: "rewrite.data.before_append", happened: false },
  { point: "rewrite.data.after_append", happened: true },
];
const WRITE = ["owner.before_take@3", "owner.before_append@3", "owner.after_append@3"];

describe("a create", () => {
  for (const { point, happened } of CREATE) {
    test(`that ends at ${point} ${happened ? "has happened" : "can be done again"}`, async () => {
      const { node, store } = await prepared();
      await crash(node, point, (client) => client.create("fresh", { page_size: 8192 }));
      await node.start();
      const client = node.client();
      expect((await names(client)).includes("fresh")).toBe(happened);
      const again = await client.create("fresh", { page_size: 8192 });
      expect(again.status).toBe(happened ? 409 : 201);
      await expectEmpty(client, "fresh");
      await expectSound(node, client, store);
      client.close();
      await node.kill();
    }, 60_000);
  }
});

describe("a drop", () => {
  for (const { point, happened } of DROP) {
    test(`that ends at ${point} ${happened ? "is finished" : "has not begun"}`, async () => {
      const { node, store, history } = await prepared();
      const before = chainFiles(store, "app").epochs.at(-1)!.epoch;
      await crash(node, point, (client) => client.drop("app"), history);
      await node.start();
      const client = node.client();
      if (happened) {
        await until(async () => !(await names(client)).includes("app"));
        expect(chainFiles(store, "app").epochs.at(-1)!.kind).toBe("tombstone");
        await recreate(client, before);
      } else {
        expect(await names(client)).toContain("app");
        expect(await history.problems(client)).toEqual([]);
        must(await client.drop("app"));
        await recreate(client, before);
      }
      await expectSound(node, client, store);
      client.close();
      await node.kill();
    }, 60_000);
  }

  test("is finished by one of many leaders that each crash a step later", async () => {
    const { node, store } = await prepared();
    await crash(node, "rewrite.tombstone.after_append", (client) => client.drop("app"));
    const later = ["snapshot.before_create", "snapshot.after_create", "drop.after_snapshot"];
    for (const point of [...later, "drop.after_row"]) await crash(node, point, null);
    await node.start();
    const client = node.client();
    expect(await names(client)).not.toContain("app");
    await recreate(client, 3);
    await expectSound(node, client, store);
    client.close();
    await node.kill();
  }, 60_000);
});

describe("a rollback", () => {
  for (const { point, happened } of ROLLBACK) {
    test(`that ends at ${point} has happened ${happened ? "wholly" : "not at all"}`, async () => {
      const { node, store, history } = await prepared();
      const last = chainFiles(store, "app").epochs.at(-1)!.epoch;
      const rollback = async (client: Client) => {
        must(await client.execute("app", "CREATE TABLE later (x)"));
        while (history.acknowledged < 100) await Bun.sleep(5);
        return await client.rollback("app", last);
      };
      await crash(node, point, rollback, history);
      await node.start();
      const client = node.client();
      const table = await client.query("app", "SELECT * FROM later");
      expect(table.status).toBe(happened ? 400 : 200);
      if (happened) {
        const ids = await client.rows("app", "SELECT id FROM ledger ORDER BY id");
        expect(ids).toEqual(history.acknowledgedIn((epoch) => epoch <= last).map((id) => [id]));
      } else expect(await history.problems(client)).toEqual([]);
      await expectSound(node, client, store);
      client.close();
      await node.kill();
    }, 60_000);
  }
});

describe("a write", () => {
  for (const point of WRITE) {
    test(`that ends at ${point} is there at most once, and all before it are`, async () => {
      const { node, store, history } = await prepared();
      await crash(node, point, null, history);
      await node.start();
      const client = node.client();
      expect(history.count("unknown")).toBeGreaterThan(0);
      expect(await history.problems(client)).toEqual([]);
      await expectSound(node, client, store);
      client.close();
      await node.kill();
    }, 60_000);
  }
});

const binary = process.env["HEADGATE_BINARY"] ?? join(import.meta.dir, "../../dist/headgate");
const isBuilt = existsSync(binary);
if (!isBuilt) console.warn("skipped: there is no released binary; npm run build makes it");

test.skipIf(!isBuilt)("a released binary has no crash points", async () => {
  const name = "HEADGATE_CRASH_AT";
  expect(readFileSync(binary).includes(name)).toBe(false);
  const node = folder.node({ store: folder.fileStore(), binary });
  await node.start({ [name]: "claim.before_append" });
  const client = node.client();
  must(await client.create("app"));
  client.close();
  await node.kill();
}, 60_000);

/** A node that does not run, on a store with the databases `app`, written to, and `other`. */
async function prepared() {
  const store = folder.fileStore();
  const node = await folder.node({ store, fromSource: true }).start();
  const client = node.client();
  for (const name of ["app", "other"]) {
    must(await client.create(name));
    must(await client.execute(name, LEDGER_SQL));
  }
  const history = new History("app");
  for (let number = 1; number <= 3; number++) await history.write(client, { client: 0, number });
  client.close();
  await node.kill();
  return { node, store, history };
}

/** Starts the node with a crash point and resolves when it has ended there. */
async function crash(
  node: NodeProcess,
  point: string,
  operation: ((client: Client) => Promise<Answer>) | null,
  history?: History,
): Promise<void> {
  const { ended } = await node.launch({ HEADGATE_CRASH_AT: point });
  const serving = node.until(/ listening url=/, 20_000).catch(() => {});
  if (await Promise.race([serving.then(() => null), ended])) return expectKilled(await ended);
  const clients = [1, 2, 3].map((index) => ({ index, client: node.client() }));
  let over = false;
  const load = clients.map(async ({ index, client }) => {
    for (let number = 1; history && !over && number < 1000; number++) {
      await history.write(client, { client: index, number });
    }
  });
  const client = node.client();
  const answered = operation?.(client).catch((error) => {
    if (!(error instanceof NoAnswer)) throw error;
  });
  const end = await Promise.race([ended, Bun.sleep(15_000)]);
  over = true;
  if (!end) throw new Error(`${point} was not reached:\n${node.log}`);
  expectKilled(end);
  await Promise.all([...load, answered]);
  for (const one of [client, ...clients.map(({ client }) => client)]) one.close();
}

function expectKilled(end: { readonly signal: unknown }): void {
  expect(end).toMatchObject({ signal: "SIGKILL" });
}

/** The dropped `app` can be made again, with its page size only, and its numbers go on. */
async function recreate(client: Client, before: number): Promise<void> {
  const other = await client.create("app", { page_size: 512 });
  expect([other.status, other.body.error.kind]).toEqual([409, "conflict"]);
  must(await client.create("app"));
  await expectEmpty(client, "app");
  const { epoch } = must(await client.execute("app", "CREATE TABLE fresh (x)"));
  expect(epoch).toBeGreaterThan(before + 1);
}

async function expectEmpty(client: Client, name: string): Promise<void> {
  const tables = await client.rows(
    name,
    "SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_headgate\\_%' ESCAPE '\\'",
  );
  expect(tables).toEqual([]);
}

/** The list and the chains agree; every claim is there and counts; everything can be written. */
async function expectSound(node: NodeProcess, client: Client, store: string): Promise<void> {
  for (const name of await names(client)) {
    must(await client.execute(name, "CREATE TABLE IF NOT EXISTS sound (x)"));
    const { epoch } = must(await client.execute(name, "INSERT INTO sound VALUES (1)"));
    const { epochs } = chainFiles(store, name);
    expect({ name, last: epochs.at(-1)!.epoch }).toEqual({ name, last: epoch });
    const claims = await client.rows(name, "SELECT epoch, node FROM _headgate_claims ORDER BY 1");
    const kept = epochs.filter(({ kind }) => kind === "claim").map(({ epoch }) => epoch);
    expect({ name, claims }).toEqual({ name, claims: kept.map((epoch) => [epoch, node.id]) });
    expect(await client.rows(name, "PRAGMA integrity_check")).toEqual([["ok"]]);
  }
  const { term } = must(await client.get("/v1/cluster"));
  const claims = chainFiles(store, "system").epochs.filter(({ kind }) => kind === "claim");
  expect(term).toBe(claims.length);
}

async function names(client: Client): Promise<string[]> {
  const { databases } = must(await client.get("/v1/databases"));
  return databases.map(({ name }: { name: string }) => name);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error("it did not become so within 10 s");
    await Bun.sleep(20);
  }
}
