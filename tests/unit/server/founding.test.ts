/** Who makes a cluster where there seems to be none. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SYSTEM_DATABASE } from "../../../src/epoch/name.ts";
import { foundCluster } from "../../../src/server/founding.ts";
import { Bench } from "../replica/bench.ts";

let bench: Bench;
beforeEach(() => bench = new Bench());
afterEach(() => bench.close());

describe("a node that has found no cluster", () => {
  test("makes one on an empty store", async () => {
    const { parts, hooks } = bench.node("n1");
    const system = await bench.settle(foundCluster(parts, hooks, true));
    expect([system.name, system.state]).toEqual([SYSTEM_DATABASE, "owning"]);
  });

  test("joins the one that was made meanwhile, with a database in it already", async () => {
    const first = bench.node("n1");
    await bench.create(first, SYSTEM_DATABASE);
    await bench.create(first, "orders");
    const { parts, hooks } = bench.node("n2");
    const system = await bench.settle(foundCluster(parts, hooks, true));
    expect([system.state, system.ownership?.claim.node]).toEqual(["following", "n1"]);
  });

  test("makes none over databases whose system was lost", async () => {
    await bench.create(bench.node("n1"), "orders");
    const { parts, hooks } = bench.node("n2");
    const failure = await bench.failure(foundCluster(parts, hooks, true));
    expect([failure.kind, failure.message]).toEqual([
      "corrupt",
      expect.stringContaining("but no chain of the database system"),
    ]);
  });
});
