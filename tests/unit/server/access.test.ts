/** Users and tokens on real `system` chains: what one node changes, and what another makes of it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { silentLog } from "../../../src/base/log.ts";
import { REVOCATIONS_LOOK_MS, TOKEN_LIFE_MS_MAX } from "../../../src/base/limits.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { signToken } from "../../../src/http/token.ts";
import { NodeAccess } from "../../../src/server/access.ts";
import { type Hasher, Passwords } from "../../../src/server/passwords.ts";
import { CatalogBench, type Member } from "./catalog-harness.ts";

const SECRET = "0123456789abcdef".repeat(4);
const DAY_MS = 86_400_000;

/** The passwords themselves: argon2id works in threads, which a simulated clock does not wait for. */
const plain: Hasher = {
  hash: (password) => Promise.resolve(`plain:${password}`),
  verify: (password, hash) => Promise.resolve(hash === `plain:${password}`),
};

let bench: CatalogBench;
let opened: NodeAccess[];
beforeEach(() => {
  bench = new CatalogBench();
  opened = [];
});
afterEach(() => {
  for (const access of opened) access.close();
  bench.close();
});

async function accessOf(member: Member, offsetMs = () => 0): Promise<NodeAccess> {
  const access = new NodeAccess({
    required: true,
    clock: bench.clock,
    random: seededRandom(opened.length + 1),
    log: silentLog,
    passwords: new Passwords(bench.clock, plain),
    clockOffsetMs: offsetMs,
    leads: () => member.claim !== null,
  });
  opened.push(access);
  await bench.settle(access.start(SECRET, member.catalog.system.database));
  return access;
}

const mint = (access: NodeAccess, subject = "ci", lifeMs = DAY_MS) =>
  bench.settle(access.mint({ subject, kind: "user", scopes: ["read:*"], lifeMs }));
const login = (access: NodeAccess, password = "one", name = "alice") =>
  access.login(name, password, DAY_MS);
const reasonOf = (access: NodeAccess, token: string): string => {
  try {
    access.verify(token);
    return "good";
  } catch (error) {
    return String(Object(error).details?.reason);
  }
};

describe("a token", () => {
  test("is good on every node until it is revoked, and then on none", async () => {
    const leader = await bench.leader();
    const access = await accessOf(leader);
    const follower = await bench.member("n2");
    const other = await accessOf(follower);
    const { token, jti } = await mint(access);
    expect([reasonOf(access, token), reasonOf(other, token)]).toEqual(["good", "good"]);

    const { epoch } = await bench.settle(access.revoke(jti));
    expect(epoch).toBe(leader.system.tip);
    expect(reasonOf(access, token)).toBe("token_revoked");
    await bench.settle(follower.system.follow());
    bench.pass(REVOCATIONS_LOOK_MS + 1);
    await Bun.sleep(5);
    expect(reasonOf(other, token)).toBe("token_revoked");
    expect(reasonOf(await accessOf(follower), token)).toBe("token_revoked");
    expect(reasonOf(other, (await mint(access)).token)).toBe("good");
  });

  test("is not verified before it is known what was revoked", () => {
    const access = new NodeAccess({
      required: true,
      clock: bench.clock,
      random: seededRandom(1),
      log: silentLog,
      passwords: new Passwords(bench.clock, plain),
      clockOffsetMs: () => 0,
      leads: () => false,
    });
    expect(() => access.verify("x")).toThrow("The node is starting");
  });

  test("begins and ends by the store's time, not the node's [I11]", async () => {
    let offsetMs = 3_600_000;
    const access = await accessOf(await bench.leader(), () => offsetMs);
    const minted = await mint(access, "ci", 60_000);
    const storeMs = bench.clock.nowMs() + offsetMs;
    expect(Math.abs(Date.parse(minted.expires_at) - storeMs - 60_000)).toBeLessThan(1_500);
    expect(reasonOf(access, minted.token)).toBe("good");
    offsetMs += 61_000;
    expect(reasonOf(access, minted.token)).toBe("token_expired");
    offsetMs -= 61_000;
    expect(reasonOf(access, minted.token)).toBe("good");
  });

  test("is made and revoked by the leader alone", async () => {
    await bench.leader("n1");
    const follower = await accessOf(await bench.member("n2"));
    for (
      const work of [
        follower.revoke("0123456789abcdef"),
        follower.mint({ subject: "ci", kind: "user", scopes: [], lifeMs: 1_000 }),
        follower.createUser("alice", "one", []),
        follower.changeUser("alice", { scopes: [] }),
        follower.removeUser("alice"),
      ]
    ) expect(await bench.failure(work)).toMatchObject({ kind: "elsewhere" });
  });

  test("is not made by a leader that was deposed and does not know", async () => {
    const first = await bench.leader("n1");
    const access = await accessOf(first);
    const second = await bench.member("n2");
    await bench.settle(second.system.follow());
    await bench.lead(second);
    // The first still believes that it leads.
    expect(first.claim).not.toBeNull();
    const request = { subject: "ci", kind: "user", scopes: ["admin"], lifeMs: 1_000 } as const;
    expect((await bench.failure(access.mint(request))).kind).not.toBe("none");
  });

  test("that was revoked is remembered until none of its age can be good", async () => {
    let nowMs = 0;
    const access = await accessOf(await bench.leader(), () => nowMs);
    access.close(); // it would look at the store each second of a year
    await bench.settle(access.revoke("0123456789abcdef"));
    const tokens = async () => (await bench.settle(access.revocations())).tokens.length;
    nowMs = 60_000;
    await bench.settle(access.revoke("other-0123456789"));
    expect(await tokens()).toBe(2);
    // A clock that far from the store's forgets nothing [I11].
    nowMs = TOKEN_LIFE_MS_MAX + DAY_MS;
    await bench.settle(access.revoke("third-0123456789"));
    expect(await tokens()).toBe(3);
    nowMs = 0;
    bench.pass(TOKEN_LIFE_MS_MAX + DAY_MS);
    await bench.settle(access.revoke("fourth-0123456789"));
    expect(await tokens()).toBe(2); // the third, whose end lies ahead, and the fourth
  });
});

describe("a user", () => {
  test("logs in for a token with the scopes of that moment", async () => {
    const access = await accessOf(await bench.leader());
    await bench.settle(access.createUser("alice", "one", ["read:orders"]));
    const { token } = await bench.settle(login(access));
    expect(access.verify(token).grants.allow("read", "orders")).toBe(true);
    expect(await bench.failure(login(access, "two"))).toMatchObject({ kind: "denied" });
    expect(await bench.failure(login(access, "one", "bob"))).toMatchObject({ kind: "denied" });
  });

  test("is one of a name", async () => {
    const access = await accessOf(await bench.leader());
    await bench.settle(access.createUser("alice", "one", []));
    expect((await bench.failure(access.createUser("alice", "two", []))).kind).toBe("conflict");
    expect((await bench.failure(access.removeUser("bob"))).kind).toBe("missing");
    expect((await bench.failure(access.changeUser("bob", { scopes: [] }))).kind).toBe("missing");
    expect((await bench.settle(access.revocations())).subjects).toEqual([]);
    expect(await bench.settle(access.users())).toMatchObject([{ name: "alice", scopes: [] }]);
  });

  for (
    const [name, change] of [
      ["whose password changes", { password: "two" }],
      ["whose scopes change", { scopes: [] }],
    ] as const
  ) {
    test(`${name} loses every earlier token, and can get a new one at once`, async () => {
      const access = await accessOf(await bench.leader());
      await bench.settle(access.createUser("alice", "one", ["read:orders"]));
      const before = await bench.settle(login(access));
      const given = await mint(access, "alice");
      const others = await mint(access, "bob");
      await bench.settle(access.changeUser("alice", change));
      expect(reasonOf(access, before.token)).toBe("token_revoked");
      expect(reasonOf(access, given.token)).toBe("token_revoked");
      expect(reasonOf(access, others.token)).toBe("good");

      const password = "password" in change ? change.password : "one";
      const after = await bench.settle(login(access, password));
      expect(after.scopes).toEqual("scopes" in change ? [] : ["read:orders"]);
      expect(reasonOf(access, after.token)).toBe("good");
      // Within the same second.
      await bench.settle(access.changeUser("alice", { scopes: ["admin"] }));
      expect(reasonOf(access, after.token)).toBe("token_revoked");
    });
  }

  test("who is deleted has no token left, and whoever gets the name gets none of them", async () => {
    const access = await accessOf(await bench.leader());
    await bench.settle(access.createUser("alice", "one", ["admin"]));
    const { token } = await bench.settle(login(access));
    await bench.settle(access.removeUser("alice"));
    expect(reasonOf(access, token)).toBe("token_revoked");
    expect((await bench.failure(login(access))).kind).toBe("denied");
    bench.pass(2_000);
    await bench.settle(access.createUser("alice", "three", []));
    expect(reasonOf(access, token)).toBe("token_revoked");
    const again = await bench.settle(login(access, "three"));
    expect(reasonOf(access, again.token)).toBe("good");
  });

  test("who logs in while the password changes has no token that is good", async () => {
    const access = await accessOf(await bench.leader());
    await bench.settle(access.createUser("alice", "one", ["admin"]));
    const started = login(access);
    const changed = access.changeUser("alice", { password: "two" });
    const outcome = await bench.settle(started.then(({ token }) => token, () => null));
    await bench.settle(changed);
    if (outcome !== null) expect(reasonOf(access, outcome)).toBe("token_revoked");
  });

  test("is not the node of that name: changes leave a node's tokens alone", async () => {
    const access = await accessOf(await bench.leader());
    await bench.settle(access.createUser("n9", "one", []));
    const request = { subject: "n9", kind: "node", scopes: [], lifeMs: DAY_MS } as const;
    const { token } = await bench.settle(access.mint(request));
    await bench.settle(access.removeUser("n9"));
    expect(reasonOf(access, token)).toBe("good");
  });
});

test("a cluster of a version without users gets their tables from its next leader", async () => {
  const leader = await bench.leader();
  const access = await accessOf(leader);
  await bench.settle(leader.catalog.create("orders", 4096));
  await bench.settle(leader.catalog.system.database.change(
    ["users", "revocations", "revoked_subjects"].map((table) => ({ sql: `DROP TABLE ${table}` })),
  ));
  expect(await bench.settle(access.users())).toEqual([]);
  expect(await bench.settle(access.revocations())).toEqual({ tokens: [], subjects: [] });
  await bench.settle(leader.catalog.system.database.prepare());
  await bench.settle(access.createUser("alice", "one", []));
  expect(await bench.settle(access.users())).toMatchObject([{ name: "alice" }]);
  expect(await bench.settle(leader.catalog.system.database.list())).toMatchObject([
    { name: "orders" },
  ]);
  const { epoch } = leader.system.image.head;
  await bench.settle(leader.catalog.system.database.prepare());
  expect(leader.system.image.head.epoch).toBe(epoch);
});

test("a genuine token of a subject that never was a user is good", async () => {
  const access = await accessOf(await bench.leader());
  const iat = Math.floor(bench.clock.nowMs() / 1000);
  const token = signToken(SECRET, {
    sub: "prometheus",
    kind: "user",
    jti: "0123456789abcdef",
    iat,
    exp: iat + 60,
    scopes: [],
  });
  expect(access.verify(token)).toMatchObject({ subject: "prometheus" });
});
