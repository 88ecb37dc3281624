/** What an owner left on its way into the image, and the follower that it becomes. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import type { GatedRead } from "../../../src/database/image.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { Bench } from "./bench.ts";

let bench: Bench;
beforeEach(() => bench = new Bench());
afterEach(() => bench.close());

const stepping = new Failure("elsewhere", "the leader steps down");

/** A read of another process that ends only when it is told to. */
function slowReader(replica: Replica): { end(): void } {
  const read: GatedRead = { begin: () => {}, cancel: () => {} };
  replica.image.gate.enter(read);
  return { end: () => replica.image.gate.leave(read) };
}

describe("an owner whose image is held back by a reader", () => {
  test("reads none of its own epochs a second time when it follows, and keeps its image", async () => {
    const node = bench.node();
    const owner = await bench.create(node);
    await bench.execute(owner, "CREATE TABLE t(x)");
    bench.pass(100);
    const { image } = owner;
    const reader = slowReader(owner);
    await bench.execute(owner, "INSERT INTO t VALUES (1)");
    await bench.settle(owner.release(stepping));
    node.systemClaim = null;
    bench.pass(2_000);
    expect([owner.state, owner.tip, image.head.epoch]).toEqual(["following", 3, 2]);
    reader.end();
    bench.pass(20_000);
    expect(await bench.read(owner, "SELECT x FROM t")).toEqual([1]);
    expect([owner.image === image, owner.state]).toEqual([true, "following"]);
  });
});
