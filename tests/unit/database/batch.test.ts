import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { failure, request, results, SessionHarness } from "./workspace-harness.ts";

let harness: SessionHarness;

beforeEach(() => {
  harness = new SessionHarness();
  harness.batch(
    request(
      "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE)",
    ),
  );
});

afterEach(() => harness.close());

const insert = (id: number) => request(["INSERT INTO t(id, a) VALUES (?, ?)", id, `row ${id}`]);
const rollback = request("INSERT OR ROLLBACK INTO t VALUES (1, 'again')");
const deferring = request(
  "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
  "CREATE TABLE child(parent REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
);
const rows = () => harness.pages.values("SELECT id FROM t ORDER BY id").flat();

describe("requests of one batch", () => {
  test("a failing request rolls back alone and the others are in one epoch", () => {
    const { epoch, answers } = harness.batch(
      insert(1),
      request(["INSERT INTO t VALUES (7, 'seven')"], "INSERT INTO t VALUES (1, 'again')"),
      insert(2),
    );
    expect(epoch?.header.maxEpoch).toBe(2);
    expect(results(answers[0])).toEqual([{ rows_affected: 1, last_insert_id: 1 }]);
    expect(failure(answers[1])).toMatchObject({ kind: "conflict", details: { statement: 1 } });
    expect(failure(answers[1]).message).toContain("Statement 2 failed: UNIQUE constraint");
    expect(results(answers[2])).toEqual([{ rows_affected: 1, last_insert_id: 2 }]);
    expect(rows()).toEqual([1, 2]);
  });

  test("a write that is only explained changes nothing and disturbs nobody", () => {
    const { answers } = harness.batch(
      insert(1),
      request(["EXPLAIN INSERT INTO t VALUES (?, ?)", 9, { real: "1.0" }]),
      request("EXPLAIN QUERY PLAN DELETE FROM t", "EXPLAIN DROP TABLE t"),
      insert(2),
    );
    expect(results(answers[1])[0]).toMatchObject({ rows_affected: 0, last_insert_id: null });
    expect(results(answers[2])).toHaveLength(2);
    expect(rows()).toEqual([1, 2]);
  });

  const endings: [string, string][] = [
    ["INSERT OR ROLLBACK", "INSERT OR ROLLBACK INTO t VALUES (1, 'again')"],
    ["RAISE(ROLLBACK)", "INSERT INTO guarded VALUES (1)"],
    ["ON CONFLICT ROLLBACK", "INSERT INTO strictly VALUES (1), (1)"],
  ];
  for (const [name, sql] of endings) {
    test(`${name} fails alone although it ends the transaction`, () => {
      harness.batch(request(
        "CREATE TABLE guarded(a)",
        "CREATE TRIGGER guard BEFORE INSERT ON guarded BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        "CREATE TABLE strictly(a PRIMARY KEY ON CONFLICT ROLLBACK)",
      ));
      const { epoch, answers } = harness.batch(insert(1), insert(2), request(sql), insert(3));
      expect(results(answers[1])).toEqual([{ rows_affected: 1, last_insert_id: 2 }]);
      expect(failure(answers[2]).kind).toBe("conflict");
      expect(results(answers[3])).toEqual([{ rows_affected: 1, last_insert_id: 3 }]);
      expect(answers.length).toBe(4);
      expect(epoch?.header.maxEpoch).toBe(3);
      expect(rows()).toEqual([1, 2, 3]);
      expect(harness.pages.values("SELECT count(*) FROM guarded")).toEqual([[0]]);
      // The next batch is one transaction again.
      harness.batch(insert(4));
      expect(rows()).toEqual([1, 2, 3, 4]);
    });
  }

  test("a deferred foreign key that fails at COMMIT fails its request alone", () => {
    harness.batch(deferring);
    const { answers } = harness.batch(
      insert(1),
      request("INSERT INTO child VALUES (99)"),
      request("INSERT INTO child VALUES (5)", "INSERT INTO parent VALUES (5)"),
      insert(2),
    );
    expect(results(answers[0])[0]?.["rows_affected"]).toBe(1);
    expect(failure(answers[1])).toMatchObject({
      kind: "conflict",
      message: expect.stringContaining("FOREIGN KEY"),
    });
    expect(results(answers[2]).length).toBe(2);
    expect(rows()).toEqual([1, 2]);
    expect(harness.pages.values("SELECT * FROM child")).toEqual([[5]]);
  });

  test("a deferred violation is not healed by a later request of its batch", () => {
    harness.batch(deferring);
    const { answers } = harness.batch(
      request("INSERT INTO child VALUES (7)"),
      request("INSERT INTO parent VALUES (7)"),
    );
    expect(failure(answers[0]).kind).toBe("conflict");
    expect(results(answers[1]).length).toBe(1);
    expect(harness.pages.values("SELECT count(*) FROM child")).toEqual([[0]]);
  });

  test("nor when the batch itself declares the constraint", () => {
    const { answers } = harness.batch(
      insert(1),
      request("CREATE TABLE parent(id INTEGER PRIMARY KEY)"),
      request("CREATE TABLE late(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)"),
      request("INSERT INTO late VALUES (7)"),
      request("INSERT INTO parent VALUES (7)"),
    );
    expect(failure(answers[3]).kind).toBe("conflict");
    expect(harness.pages.values("SELECT count(*) FROM late")).toEqual([[0]]);
    expect(rows()).toEqual([1]);
  });

  test("answers of the last run count, also for what was answered before", () => {
    const reading = request("SELECT count(*) FROM t");
    const { answers } = harness.batch(insert(1), reading, rollback);
    expect(results(answers[1])[0]?.["rows"]).toEqual([[1]]);
    expect(harness.messages.some(({ kind }) => kind === "again")).toBe(true);
  });

  test("a temporary object is refused and does not outlive its request", () => {
    const { answers } = harness.batch(
      insert(1),
      request("CREATE TEMP TABLE t(id, a)"),
      insert(2),
    );
    expect(failure(answers[1]).kind).toBe("invalid");
    expect(rows()).toEqual([1, 2]);
  });

  test("a temporary object that passes the rules is refused as well", () => {
    const trusted = { ...request("CREATE TEMP TABLE t(id, a)"), trusted: true };
    const { answers } = harness.batch(insert(1), trusted, insert(2));
    expect(failure(answers[1])).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("temporary"),
    });
    expect(rows()).toEqual([1, 2]);
  });

  test("row counters are not visible from one request to the next", () => {
    const counters = request("SELECT last_insert_rowid(), changes()");
    const { answers } = harness.batch(insert(42), counters, insert(43), counters);
    expect(results(answers[1])[0]?.["rows"]).toEqual([[0, 0]]);
    expect(results(answers[3])[0]?.["rows"]).toEqual([[0, 0]]);
  });

  test("row counters in a trigger are hidden from other requests as well", () => {
    harness.batch(request(
      "CREATE TABLE log(id)",
      "CREATE TRIGGER counting BEFORE DELETE ON t BEGIN " +
        "INSERT INTO log SELECT last_insert_rowid(); END",
    ));
    harness.batch(insert(42), request("DELETE FROM t WHERE id = 42"));
    expect(harness.pages.values("SELECT id FROM log")).toEqual([[0]]);
  });

  test("row counters within one request are SQLite's own", () => {
    const { answers } = harness.batch(
      request("INSERT INTO t VALUES (8, 'x'), (9, 'y')", "SELECT last_insert_rowid(), changes()"),
    );
    expect(results(answers[0])[1]?.["rows"]).toEqual([[9, 2]]);
  });

  test("a batch that changes no page gives no epoch [I3]", () => {
    const { epoch, answers } = harness.batch(
      request("SELECT 1"),
      request("DELETE FROM t WHERE id = 12345"),
    );
    expect(epoch).toBeNull();
    expect(answers.length).toBe(2);
    expect(harness.batch(insert(1)).epoch?.header.maxEpoch).toBe(2);
  });

  test("a batch whose requests all fail gives no epoch", () => {
    expect(harness.batch(request("INSERT INTO nowhere VALUES (1)")).epoch).toBeNull();
  });

  test("machinery can be read by all and written by trusted requests alone [I14]", () => {
    const { answers } = harness.batch(
      request("SELECT count(*) FROM _headgate_claims"),
      request("DELETE FROM _headgate_claims"),
      request('INSERT INTO "_HEADGATE_claims"(epoch) VALUES (1)'),
      { ...request("INSERT INTO _headgate_claims(epoch, node) VALUES (2, 'n')"), trusted: true },
    );
    expect(results(answers[0])[0]?.["rows"]).toEqual([[0]]);
    expect(failure(answers[1]).kind).toBe("invalid");
    expect(failure(answers[2]).kind).toBe("invalid");
    expect(harness.pages.values("SELECT epoch FROM _headgate_claims")).toEqual([[2]]);
  });

  test("trusted text is not allowed to a client because it was prepared for the machinery", () => {
    const sql = "DELETE FROM _headgate_claims";
    const { answers } = harness.batch({ ...request(sql), trusted: true }, request(sql));
    expect(results(answers[0]).length).toBe(1);
    expect(failure(answers[1]).kind).toBe("invalid");
  });
});

describe("what a statement's result says", () => {
  const cases: [string, string, unknown][] = [
    ["an insert", "INSERT INTO t(a) VALUES ('q')", { rows_affected: 1, last_insert_id: 1 }],
    ["no row", "INSERT OR IGNORE INTO t VALUES (100, 'h')", {
      rows_affected: 0,
      last_insert_id: null,
    }],
    ["an update", "UPDATE t SET a = a || '!'", { rows_affected: 1, last_insert_id: null }],
    ["a delete", "DELETE FROM t WHERE id = 100", { rows_affected: 1, last_insert_id: null }],
    ["DDL", "CREATE TABLE z AS SELECT * FROM t", { rows_affected: 0, last_insert_id: null }],
    ["WITHOUT ROWID", "INSERT INTO w VALUES ('k')", { rows_affected: 1, last_insert_id: null }],
    [
      "an upsert that updates",
      "INSERT INTO t VALUES (100, 'h') ON CONFLICT DO UPDATE SET a = 'u'",
      {
        rows_affected: 1,
        last_insert_id: null,
      },
    ],
    ["an upsert that inserts", "INSERT INTO t VALUES (5, 'n') ON CONFLICT DO UPDATE SET a = 'u'", {
      rows_affected: 1,
      last_insert_id: 5,
    }],
    ["an insert from WITH", "WITH c(x) AS (SELECT 6) INSERT INTO t SELECT x, 'w' FROM c", {
      rows_affected: 1,
      last_insert_id: 6,
    }],
    ["RETURNING", "INSERT INTO t VALUES (7, 'r') RETURNING id, a AS text", {
      rows_affected: 1,
      last_insert_id: 7,
      columns: ["id", "text"],
      rows: [[7, "r"]],
    }],
    ["a big id", "INSERT INTO t VALUES (9007199254740993, 'b')", {
      rows_affected: 1,
      last_insert_id: { integer: "9007199254740993" },
    }],
    ["a pragma that writes", "PRAGMA user_version = 5", {
      rows_affected: 0,
      last_insert_id: null,
    }],
  ];
  for (const [name, sql, expected] of cases) {
    test(`${name}: ${sql}`, () => {
      harness.batch(request("CREATE TABLE w(k PRIMARY KEY) WITHOUT ROWID"));
      if (name !== "an insert") harness.batch(request("INSERT INTO t VALUES (100, 'h')"));
      const { answers } = harness.batch(request(sql));
      expect(results(answers[0])).toEqual([expected as Record<string, unknown>]);
    });
  }

  test("columns after a change of the schema are the new ones", () => {
    const all = request("SELECT * FROM t");
    const { answers } = harness.batch(
      all,
      request("ALTER TABLE t ADD COLUMN b DEFAULT 1"),
      all,
      request("ALTER TABLE t ADD COLUMN c", "SELECT * FROM t", "SELECT * FROM missing"),
      all,
    );
    expect(results(answers[0])[0]?.["columns"]).toEqual(["id", "a"]);
    expect(results(answers[2])[0]?.["columns"]).toEqual(["id", "a", "b"]);
    expect(failure(answers[3]).kind).toBe("invalid");
    expect(results(answers[4])[0]?.["columns"]).toEqual(["id", "a", "b"]);
  });
});

describe("an epoch that is full", () => {
  // 64 pages.
  const options = { epochBytesMax: 256 * 1024 };
  const grow = (id: number, bytes: number) =>
    request(["INSERT INTO blobs VALUES (?, randomblob(?))", id, bytes]);
  const change = (id: number, bytes: number) =>
    request(["UPDATE blobs SET a = randomblob(?) WHERE id = ?", bytes, id]);
  const blobs = () => harness.pages.values("SELECT id, hex(a) FROM blobs ORDER BY id");

  beforeEach(() => {
    harness.batch(
      request("CREATE TABLE blobs(id INTEGER PRIMARY KEY, a)"),
      ...[1, 2, 3].map((id) => grow(id, 100_000)),
      grow(4, 500_000),
    );
  });

  test("growth that does not fit is put off, and what comes before it is taken", () => {
    harness.execute([grow(11, 100_000), grow(12, 100_000), grow(13, 100_000), insert(4)], options);
    const { answers } = harness.take(options);
    expect(answers.map((answer) => typeof answer)).toEqual([
      "string",
      "string",
      "object",
      "object",
    ]);
    expect(answers.slice(2)).toEqual([{ putOff: true }, { putOff: true }]);
    expect(blobs().map(([id]) => id)).toEqual([1, 2, 3, 4, 11, 12]);
    expect(harness.messages.at(-1)).toMatchObject({ mustCut: false });
    // Nothing has to be cut, so the session goes on.
    harness.execute([grow(13, 100_000), insert(4)], options);
    expect(harness.take(options).answers.length).toBe(2);
    expect(blobs().map(([id]) => id)).toEqual([1, 2, 3, 4, 11, 12, 13]);
  });

  test("growth that alone does not fit fails alone", () => {
    harness.execute([request("SELECT 1"), grow(11, 500_000), insert(2)], options);
    const { answers } = harness.take(options);
    expect(failure(answers[1])).toMatchObject({
      kind: "too_large",
      details: { statement: 0, reason: "epoch", limit_bytes: options.epochBytesMax },
    });
    expect(rows()).toEqual([2]);
    expect(blobs().length).toBe(4);
  });

  test("changes that together are too much are reported, for the log must be cut", () => {
    harness.execute([change(1, 100_000), change(2, 100_000), change(3, 100_000)], options);
    expect(() => void harness.take(options)).toThrow();
    expect(harness.messages.at(-1)).toMatchObject({ kind: "overflow", serial: null });
    const count = harness.messages.length;
    harness.execute([insert(9)], options);
    expect(harness.messages.length).toBe(count);
  });

  test("alone, they are taken up to the one that does not fit", () => {
    const before = blobs();
    harness.execute([change(1, 100_000), change(2, 100_000), change(3, 100_000), insert(1)], {
      alone: true,
      ...options,
    });
    const { answers } = harness.take(options);
    expect(answers.map((answer) => typeof answer)).toEqual([
      "string",
      "string",
      "object",
      "object",
    ]);
    expect(answers[3]).toEqual({ putOff: true });
    expect(harness.messages.at(-1)).toMatchObject({ kind: "taken", mustCut: true });
    expect(blobs()[0]).not.toEqual(before[0]);
    expect(blobs().slice(2)).toEqual(before.slice(2));
    expect(rows()).toEqual([]);
  });

  test("a change that alone is too much is named", () => {
    harness.execute([request("SELECT 1"), change(4, 500_000), insert(1)], {
      alone: true,
      serial: 900,
      ...options,
    });
    expect(harness.messages.at(-1)).toMatchObject({ kind: "overflow", serial: 901 });
  });

  test("one request is named at once", () => {
    harness.execute([change(4, 500_000)], { serial: 900, ...options });
    expect(() => void harness.take(options)).toThrow();
    expect(harness.messages.at(-1)).toMatchObject({ kind: "overflow", serial: 900 });
  });

  test("answers that together are too long are put off", () => {
    const long = request("SELECT hex(zeroblob(20000000))");
    harness.execute([long, long, long]);
    const { answers } = harness.take();
    expect(answers.length).toBe(3);
    expect(answers[0]).toMatchObject({ file: expect.any(String) });
    expect(answers[2]).toEqual({ putOff: true });
  });

  test("an answer that alone is too long fails alone", () => {
    const { answers } = harness.batch(
      request("INSERT INTO t VALUES (1, 1)", "SELECT hex(zeroblob(40000000))"),
      insert(2),
    );
    expect(failure(answers[0]).kind).toBe("too_large");
    expect(rows()).toEqual([2]);
  });
});

describe("an idempotency key", () => {
  const keyed = (key: string, id: number) => ({ ...insert(id), idempotencyKey: key });

  test("gives the first answer again and executes once", () => {
    const first = harness.batch(keyed("k", 1));
    expect(results(first.answers[0])).toEqual([{ rows_affected: 1, last_insert_id: 1 }]);
    const { epoch, answers } = harness.batch(keyed("k", 1));
    expect(epoch).toBeNull();
    expect(answers).toEqual([{
      replayed: '{"results":[{"rows_affected":1,"last_insert_id":1}],"epoch":2}',
    }]);
    expect(rows()).toEqual([1]);
  });

  test("within one batch the second is a replay too", () => {
    const { answers } = harness.batch(keyed("k", 1), keyed("k", 1));
    expect(answers[1]).toMatchObject({ replayed: expect.stringContaining('"epoch":2}') });
  });

  test("with another body is a conflict", () => {
    const { answers } = harness.batch(keyed("k", 1), keyed("k", 2));
    expect(failure(answers[1])).toMatchObject({ kind: "conflict" });
    expect(rows()).toEqual([1]);
  });

  test("belongs to its subject", () => {
    harness.batch(keyed("k", 1), { ...keyed("k", 2), subject: "somebody" });
    expect(rows()).toEqual([1, 2]);
  });

  test("is not used up by a request that fails", () => {
    harness.batch(keyed("k", 1), keyed("j", 1));
    expect(harness.pages.values("SELECT key FROM _headgate_requests")).toEqual([["k"]]);
    harness.batch(keyed("j", 2));
    expect(rows()).toEqual([1, 2]);
  });

  test("of a request that ran again names the epoch it became", () => {
    const { answers } = harness.batch(keyed("k", 1), rollback);
    expect(results(answers[0]).length).toBe(1);
    expect(harness.pages.values("SELECT epoch FROM _headgate_requests")).toEqual([[2]]);
  });

  test("keeps of a large answer only when it was done", () => {
    const large = {
      ...request("SELECT hex(zeroblob(50000))", "INSERT INTO t VALUES (1, 'x')"),
      idempotencyKey: "k",
    };
    harness.batch(large);
    expect(harness.batch(large).answers).toEqual([{
      replayed: '{"results":null,"done_at_epoch":2,"epoch":2}',
    }]);
  });
});
