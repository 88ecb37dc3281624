import { afterEach, beforeEach, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { Transactions } from "../../../src/library/transactions.ts";
import type { TransactionHandle } from "../../../src/library/sqlite.ts";
import { RehearsedOwner } from "../../support/rehearsed-owner.ts";

let owner: RehearsedOwner;
let transactions: Transactions;

beforeEach(async () => {
  owner = await RehearsedOwner.open(
    "CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL)",
    "INSERT INTO counters VALUES ('a', 5), ('b', 0)",
    "CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT UNIQUE)",
  );
  transactions = new Transactions({
    clock: systemClock,
    random: seededRandom(7),
    databases: owner,
    attemptMs: 1_000,
  });
});
afterEach(() => owner.close());

const run = <T>(work: (db: TransactionHandle) => T, timeoutMs = 5_000) =>
  transactions.run("app", work, systemClock.monotonicMs() + timeoutMs);

const increment = (db: TransactionHandle): number => {
  const { n } = db.query<{ n: number }>("SELECT n FROM counters WHERE name = 'a'").get()!;
  db.run("UPDATE counters SET n = ? WHERE name = 'a'", n + 1);
  return n + 1;
};

const failureOf = (promise: Promise<unknown>): Promise<Failure> =>
  promise.then(() => expect.unreachable(), (error) => error);

test("a transaction sees its own writes, and its outcome is at the owner", async () => {
  const { value, epoch } = await run((db) => {
    increment(db);
    increment(db);
    db.run("INSERT INTO log (text) VALUES ($text)", { text: "twice" });
    return db.query("SELECT n, text FROM counters, log WHERE name = 'a'").all();
  });
  expect(value).toEqual([{ n: 7, text: "twice" }]);
  expect(epoch).toBe(2);
  expect(owner.rows("SELECT n FROM counters WHERE name = 'a'")).toEqual([[7n]]);
});

test("one whose read was changed meanwhile runs again, on what changed it", async () => {
  owner.write("UPDATE counters SET n = 40 WHERE name = 'a'");
  const seen: number[] = [];
  const { value } = await run((db) => {
    const next = increment(db);
    seen.push(next);
    return next;
  });
  expect(seen).toEqual([6, 41]);
  expect(value).toBe(41);
  expect(owner.rows("SELECT n FROM counters WHERE name = 'a'")).toEqual([[41n]]);
});

test("what others change elsewhere disturbs nobody", async () => {
  owner.write("UPDATE counters SET n = 9 WHERE name = 'b'");
  await run(increment);
  expect(owner.rehearsals).toBe(1);
});

test("a result that nobody looks at may be another at the owner; one that is looked at may not", async () => {
  owner.write("INSERT INTO log (text) VALUES ('other')");
  await run((db) => db.run("INSERT INTO log (text) VALUES ('mine')").changes);
  expect(owner.rehearsals).toBe(2);
  owner.write("INSERT INTO log (text) VALUES ('another')");
  await run((db) => {
    db.run("INSERT INTO log (text) VALUES ('unseen')");
  });
  expect(owner.rehearsals).toBe(3);
  owner.write("INSERT INTO log (text) VALUES ('one more')");
  const { value } = await run((db) =>
    db.run("INSERT INTO log (text) VALUES ('seen')").lastInsertRowid
  );
  expect(value).toBe(6);
  expect(owner.rows("SELECT id FROM log WHERE text = 'seen'")).toEqual([[6n]]);
});

test("many that count at the same time count exactly", async () => {
  const all = Array.from({ length: 30 }, () => run(increment, 20_000));
  const values = (await Promise.all(all)).map(({ value }) => value);
  expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, at) => at + 6));
  // Whoever met a change waits in line, and the next attempt is its last.
  expect(owner.rehearsals).toBeLessThanOrEqual(60);
});

test("what the function throws undoes everything, once the owner says that it saw the truth", async () => {
  const refuse = (db: TransactionHandle) => {
    if (increment(db) < 41) throw new Error("not enough");
  };
  await expect(run(refuse)).rejects.toThrow("not enough");
  expect(owner.rows("SELECT n FROM counters WHERE name = 'a'")).toEqual([[5n]]);
  owner.write("UPDATE counters SET n = 40 WHERE name = 'a'");
  await run(refuse);
  expect(owner.rows("SELECT n FROM counters WHERE name = 'a'")).toEqual([[41n]]);
});

test("a constraint of a moment ago is no answer", async () => {
  await run((db) => void db.run("INSERT INTO log (text) VALUES ('once')"));
  const again = () => run((db) => void db.run("INSERT INTO log (text) VALUES ('once')"));
  const failure = await failureOf(again());
  expect(failure.kind).toBe("conflict");
  expect(failure.details).toEqual({ code: "SQLITE_CONSTRAINT_UNIQUE" });
  await owner.publish();
  owner.write("DELETE FROM log");
  await again();
  expect(owner.rows("SELECT text FROM log")).toEqual([["once"]]);
});

test("a statement that failed is the end, whatever the function does about it", async () => {
  const failure = await failureOf(run((db) => {
    db.run("UPDATE counters SET n = 100");
    try {
      db.run("INSERT INTO counters VALUES ('a', 1)");
    } catch {
      // goes on
    }
    return "done";
  }));
  expect(failure.message).toContain("Statement 2 failed: UNIQUE constraint failed");
  expect(owner.rows("SELECT max(n) FROM counters")).toEqual([[5n]]);
});

test("a constraint that only the owner meets is the answer, and nothing is done", async () => {
  owner.write("INSERT INTO log (text) VALUES ('theirs')");
  const failure = await failureOf(run((db) => {
    db.run("UPDATE counters SET n = 100");
    db.run("INSERT INTO log (text) VALUES ('theirs')");
  }));
  expect(failure.details).toEqual({ statement: 1, code: "SQLITE_CONSTRAINT_UNIQUE" });
  expect(owner.rows("SELECT max(n) FROM counters")).toEqual([[5n]]);
});

test("what no database allows is refused without asking the owner", async () => {
  const refusals = [
    (db: TransactionHandle) => db.run("COMMIT"),
    (db: TransactionHandle) => db.run("DELETE FROM _headgate_claims"),
    (db: TransactionHandle) => db.run("ATTACH '/tmp/x' AS x"),
    (db: TransactionHandle) => db.query("SELECT 1; SELECT 2").all(),
    () => Promise.resolve(1),
    (db: TransactionHandle) => {
      for (let at = 0; at < 1_001; at++) db.run("DELETE FROM log");
    },
  ];
  for (const work of refusals) {
    expect((await failureOf(run(work))).kind).toBeOneOf(["invalid", "too_large"]);
  }
  expect(owner.requests).toEqual([]);
});

test("a handle that was kept does nothing when its transaction is over", async () => {
  let kept: TransactionHandle | null = null;
  await run((db) => {
    kept = db;
    increment(db);
  });
  expect(() => kept!.run("DELETE FROM counters")).toThrow("is over");
  expect(() => kept!.query("SELECT 1").all()).toThrow("is over");
});

test("a statement that ended the transaction was the last: the image is as it was", async () => {
  const before = owner.imageBytes();
  const failure = await failureOf(run((db) => {
    try {
      db.run("INSERT OR ROLLBACK INTO counters VALUES ('a', 1)");
    } catch {
      // goes on
    }
    db.run("INSERT INTO counters VALUES ('z', 1)");
  }));
  expect(failure.kind).toBe("conflict");
  expect(owner.imageBytes()).toEqual(before);
});

test("nothing of a rehearsal is in the image, whatever it did [I6]", async () => {
  const before = owner.imageBytes();
  const failure = await failureOf(run((db) => {
    db.run("CREATE TABLE big (id INTEGER PRIMARY KEY, bytes BLOB)");
    db.run(
      "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) " +
        "INSERT INTO big SELECT i, zeroblob(2000) FROM n",
    );
    db.run("DROP TABLE counters");
    expect(db.query("SELECT count(*) AS n FROM big").get()).toEqual({ n: 4000 });
    // Not even for a moment, though it is more than SQLite likes to keep in memory.
    expect(owner.imageBytes()).toEqual(before);
    throw new Error("never mind");
  }));
  expect(failure.message).toBe("never mind");
  expect(owner.imageBytes()).toEqual(before);
  expect((await owner.image.scrubSlice()).done).toBe(true);
  await run(increment);
});

test("one that only reads writes nothing, and is held against the owner all the same", async () => {
  owner.write("UPDATE counters SET n = 40 WHERE name = 'a'");
  const epoch = owner.epoch;
  const read = await run((db) => db.query("SELECT n FROM counters WHERE name = 'a'").values());
  expect(read).toEqual({ value: [[40]], epoch });
  expect(owner.epoch).toBe(epoch);
});

test("an attempt of unknown outcome is sent again, and is done once", async () => {
  let hidden = 0;
  owner.after = () => {
    if (hidden++ === 0) throw new Failure("uncertain", "the answer was lost");
  };
  await run(increment);
  expect(owner.rows("SELECT n FROM counters WHERE name = 'a'")).toEqual([[6n]]);
  const keys = new Set(owner.requests.map(({ idempotencyKey }) => idempotencyKey));
  expect(owner.requests.length).toBe(2);
  expect(keys.size).toBe(1);
});

test("the machinery's rows are those of transactions under way, not of all there ever were", async () => {
  for (let round = 0; round < 10; round++) {
    await Promise.all(Array.from({ length: 5 }, () =>
      run((db) => {
        db.run("UPDATE counters SET n = n + 1");
      })));
  }
  const [[rows]] = owner.rows("SELECT count(*) FROM _headgate_requests") as [[bigint]];
  expect(rows).toBeLessThanOrEqual(5n);
  expect(owner.rows("SELECT n FROM counters WHERE name = 'a'")).toEqual([[55n]]);
  await failureOf(run((db) => void db.run("INSERT INTO counters VALUES ('a', 0)")));
  await run(increment);
  expect(owner.rows("SELECT count(*) FROM _headgate_requests")).toEqual([[1n]]);
});

test("one whose outcome stays unknown says so at its deadline", async () => {
  owner.after = () => {
    throw new Failure("uncertain", "the answer was lost");
  };
  owner.before = () => {
    if (owner.requests.length > 1) throw new Failure("unavailable", "nobody leads");
  };
  expect((await failureOf(run(increment, 200))).kind).toBe("uncertain");
});

test("one that meets changes until its deadline did nothing, and says why", async () => {
  owner.before = () => owner.write("UPDATE counters SET n = n + 1 WHERE name = 'a'");
  const failure = await failureOf(run((db) => {
    increment(db);
    db.run("UPDATE counters SET n = 1000 WHERE name = 'b'");
  }, 200));
  expect(failure.kind).toBe("conflict");
  expect(failure.details).toEqual({ reason: "contention" });
  expect(owner.rows("SELECT n FROM counters WHERE name = 'b'")).toEqual([[0n]]);
});

test("values come and go as SQLite has them", async () => {
  const { value } = await run((db) => {
    db.run("CREATE TABLE v (a, b, c, d, e, f)");
    const bytes = new Uint8Array([0, 255]);
    db.run("INSERT INTO v VALUES (?, ?, ?, ?, ?, ?)", 2n ** 60n, 1.5, "ü", bytes, null, true);
    return db.query("SELECT * FROM v").get();
  });
  const expected = { a: 2n ** 60n, b: 1.5, c: "ü", d: new Uint8Array([0, 255]), e: null, f: 1 };
  expect(value).toEqual(expected);
  expect(owner.rows("SELECT typeof(a), typeof(b), typeof(d), f FROM v")).toEqual([
    ["integer", "real", "blob", 1n],
  ]);
  expect((await failureOf(run((db) => db.query("SELECT ?").get(Number.NaN)))).message)
    .toContain("NaN");
});

test("an upsert's last id is SQLite's own, here and at the owner", async () => {
  const sql = "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1";
  await run((db) => [db.run(sql, "a").lastInsertRowid, db.run(sql, "new").changes]);
  await run((db) => [
    db.run("INSERT INTO log (text) VALUES ('x')").changes,
    db.query("SELECT last_insert_rowid() AS id").get(),
  ]);
  expect(owner.rehearsals).toBe(2);
});

test("a change of the schema by others is seen by the next attempt", async () => {
  const columns = () => run((db) => Object.keys(db.query("SELECT * FROM counters").get() ?? {}));
  expect((await columns()).value).toEqual(["name", "n"]);
  owner.write("ALTER TABLE counters ADD COLUMN unit TEXT");
  expect((await columns()).value).toEqual(["name", "n", "unit"]);
});
