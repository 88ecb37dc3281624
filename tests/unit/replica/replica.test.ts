import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { objectKey } from "../../../src/epoch/key.ts";
import type { Parts } from "../../../src/replica/parts.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { Bench } from "./bench.ts";
import { fails, held } from "./scripted-store.ts";

let bench: Bench;
beforeEach(() => bench = new Bench());
afterEach(() => bench.close());

const key = (epoch: number) => objectKey("s3", "orders", 0, epoch, epoch);
const closing = new Failure("unavailable", "closing");

/** A chain with a table of one column. */
async function owned(override: Partial<Parts> = {}) {
  const node = bench.node("n1", override);
  const owner = await bench.create(node);
  await bench.execute(owner, "CREATE TABLE t(x)");
  return { node, owner };
}

async function follower(id = "n2") {
  const node = bench.node(id);
  node.systemClaim = null;
  return { node, replica: await bench.open(node) };
}

describe("a follower", () => {
  test("comes after the owner within seconds, and shows what is durable only [I6]", async () => {
    const { owner } = await owned();
    const { replica } = await follower();
    const create = held("before");
    bench.store.next("create", create.fate, { key: key(3) });
    const write = owner.execute(bench.write("INSERT INTO t VALUES (1)"));
    await bench.settle(create.arrived);
    expect(await bench.read(owner, "SELECT x FROM t")).toEqual([]);
    create.release();
    await bench.settle(write);
    bench.pass(12_000);
    expect([replica.tip, await bench.read(replica, "SELECT x FROM t")]).toEqual([3, [1]]);
  });

  test("knows the owner and a drop although the store failed right after it told", async () => {
    const { owner } = await owned();
    const { replica } = await follower();
    const next = bench.node("n3");
    next.systemClaim = 7;
    expect(await bench.settle((await bench.open(next)).claim(7))).toBe(true);
    bench.store.next("get", fails("unavailable"), { key: key(4), times: 4 });
    bench.pass(3_000);
    expect([replica.tip, replica.ownership?.claim.node]).toEqual([3, "n3"]);
    expect(owner.state).toBe("owning");
  });

  test("is not asked to write: it says who owns", async () => {
    await owned();
    const { replica } = await follower();
    const write = replica.execute(bench.write("INSERT INTO t VALUES (1)"));
    expect(await bench.failure(write)).toEqual({
      kind: "elsewhere",
      message: "This node does not own orders; http://n1 does",
    });
  });

  test("reads the chain anew when what follows does not fit, and is right then [I9]", async () => {
    const { owner } = await owned();
    const { replica } = await follower();
    for (const x of [1, 2, 3]) await bench.execute(owner, "INSERT INTO t VALUES (?)", [x]);
    await bench.settle(owner.snapshotNow());
    // Once it is another object that it reads.
    const other = await bench.store.memory.get(key(4));
    bench.store.next("get", () => Promise.resolve(other), { key: key(3) });
    bench.pass(1_010);
    bench.pass(15_000);
    expect([replica.state, replica.tip]).toEqual(["following", 5]);
    expect(await bench.read(replica, "SELECT x FROM t")).toEqual([1, 2, 3]);
  });
});

describe("rewriting a database", () => {
  const empty = { source: "empty", keepRequests: true, kind: "data" } as const;

  test("is one epoch, carries the claims, and is served when it is answered [I14]", async () => {
    const { owner } = await owned();
    expect(await bench.settle(owner.rewrite(empty))).toBe(3);
    expect(await bench.read(owner, "SELECT name FROM sqlite_schema WHERE name = 't'")).toEqual([]);
    expect(await bench.read(owner, "SELECT node FROM _headgate_claims")).toEqual(["n1"]);
    expect(await bench.execute(owner, "CREATE TABLE u(x)")).toBe(4);
    const { replica } = await follower();
    expect(await bench.read(replica, "SELECT name FROM sqlite_schema WHERE name = 'u'"))
      .toEqual(["u"]);
  });

  test("goes on over writes: those before are in the history, those after see the new content", async () => {
    const { owner } = await owned();
    const create = held();
    bench.store.next("create", create.fate);
    const before = owner.execute(bench.write("INSERT INTO t VALUES (1)"));
    await bench.settle(create.arrived);
    const rewrite = owner.rewrite(empty);
    const after = owner.execute(bench.write("CREATE TABLE u(x)"));
    create.release();
    expect((await bench.settle(before)).epoch).toBe(3);
    expect(await bench.settle(rewrite)).toBe(4);
    expect((await bench.settle(after)).epoch).toBe(5);
  });

  test("that loses its number to a claim ends the ownership [I8]", async () => {
    const { node, owner } = await owned();
    const next = bench.node("n2");
    next.systemClaim = 5;
    const replica = await bench.open(next);
    expect(await bench.settle(replica.claim(5))).toBe(true);
    node.systemClaim = null;
    expect((await bench.failure(owner.rewrite(empty))).kind).toBe("elsewhere");
    expect([owner.state, node.fenced]).toEqual(["following", ["orders"]]);
    bench.pass(15_000);
    expect(owner.tip).toBe(3);
  });

  test("that is durable but cannot be served here is uncertain, and is read from the store", async () => {
    const { parts } = bench.node("n1");
    let isFull = false;
    const { node, owner } = await owned({
      createImage: (name, pageSize) =>
        isFull ? Promise.reject(new Error("no memory")) : parts.createImage(name, pageSize),
    });
    isFull = true;
    expect((await bench.failure(owner.rewrite(empty))).kind).toBe("uncertain");
    isFull = false;
    expect([owner.state, node.fenced]).toEqual(["following", ["orders"]]);
    // The next write claims again, behind it.
    expect(await bench.execute(owner, "CREATE TABLE u(x)")).toBe(5);
    expect(await bench.read(owner, "SELECT name FROM sqlite_schema WHERE name = 't'")).toEqual([]);
  });
});

describe("closing a replica", () => {
  test("ends an owner: what was sent is answered, later calls are refused", async () => {
    const { owner } = await owned();
    const write = owner.execute(bench.write("INSERT INTO t VALUES (1)"));
    write.catch(() => {});
    await bench.settle(owner.close(closing));
    expect(["none", "unavailable"]).toContain((await bench.failure(write)).kind);
    expect((await bench.failure(owner.execute(bench.write("SELECT 1")))).kind).toBe("elsewhere");
    expect(() => owner.image).toThrow(expect.objectContaining({ kind: "unavailable" }));
  });

  test("while it claims leaves no owner, no image and no workspace behind", async () => {
    const { parts, hooks } = bench.node("n1");
    const workspaces: string[] = [];
    const counted: Parts = {
      ...parts,
      openWorkspace: async (...args) => {
        const workspace = await parts.openWorkspace(...args);
        workspaces.push("open");
        const close = workspace.close.bind(workspace);
        workspace.close = () => {
          workspaces.push("closed");
          return close();
        };
        return workspace;
      },
    };
    const { owner } = await owned();
    await bench.settle(owner.close(closing));
    const replica = await bench.settle(Replica.open(counted, "orders", hooks));
    const create = held();
    bench.store.next("create", create.fate, { key: key(3) });
    const claiming = replica!.claim(1);
    claiming.catch(() => {});
    await bench.settle(create.arrived);
    await bench.settle(replica!.close(closing));
    create.release();
    expect((await bench.failure(claiming)).kind).toBe("unavailable");
    expect([replica!.state, workspaces]).toEqual(["closed", ["open", "closed"]]);
    expect((await bench.failure(replica!.execute(bench.write("SELECT 1")))).kind).toBe("elsewhere");
  });
});

describe("a write to a chain that nobody here owns", () => {
  test("waits for the claim that it causes, but not beyond its deadline", async () => {
    const { owner } = await owned();
    await bench.settle(owner.close(closing));
    const replica = await bench.open(bench.node("n1"));
    const create = held();
    bench.store.next("create", create.fate);
    const late = replica.execute(bench.write("INSERT INTO t VALUES (1)", [], 500));
    const patient = replica.execute(bench.write("INSERT INTO t VALUES (2)"));
    expect((await bench.failure(late)).kind).toBe("unavailable");
    create.release();
    expect((await bench.settle(patient)).epoch).toBe(4);
    expect(await bench.read(replica, "SELECT x FROM t")).toEqual([2]);
  });

  test("many at once cause one claim", async () => {
    const { owner } = await owned();
    await bench.settle(owner.close(closing));
    const replica = await bench.open(bench.node("n1"));
    const writes = [1, 2, 3].map((x) =>
      replica.execute(bench.write("INSERT INTO t VALUES (?)", [x]))
    );
    await bench.settle(Promise.all(writes));
    expect(replica.ownership?.term).toBe(2);
  });
});
