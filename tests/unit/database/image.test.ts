import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { Image } from "../../../src/database/image.ts";
import { createImage } from "../../../src/database/image-builder.ts";
import { PageFile } from "../../../src/database/page-file.ts";
import { ChainOfPages } from "./chain-of-pages.ts";

let directory: string;
let chain: ChainOfPages;
let open: Image[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-image-"));
  chain = new ChainOfPages(join(directory, "source.db"), 1024);
  open = [];
});
afterEach(async () => {
  for (const image of open) await image.close();
  chain.close();
  rmSync(directory, { recursive: true, force: true });
});

const parts = { clock: systemClock, log: silentLog };

/** Time passes with every look at the clock, so that every slice is as short as it can be. */
function hastyClock(): Clock {
  let looks = 0;
  return { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + 10 * looks++ };
}

async function imageOf(
  path = join(directory, "image.db"),
  conflictMs?: number,
  clock = systemClock,
): Promise<Image> {
  const first = chain.next();
  const builder = await createImage({
    ...parts,
    clock,
    path,
    pageSize: chain.pageSize,
    ...(conflictMs === undefined ? {} : { conflictMs }),
  });
  await builder.write(first.pages, first.header.commit);
  const image = await builder.finish(chain.head);
  open.push(image);
  return image;
}

const names = (database: Database): string[] =>
  database.query<{ name: string }, []>("SELECT name FROM t ORDER BY id").all().map((row) =>
    row.name
  );

test("an open reader in this process sees each applied epoch, and only that [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  for (let round = 0; round < 20; round++) {
    chain.database.run("INSERT INTO t(name) VALUES (?)", [`row ${round}`]);
    const epoch = chain.next();
    expect(await image.read(names)).toHaveLength(round);
    await image.apply(epoch);
    expect(await image.read(names)).toHaveLength(round + 1);
    expect(image.head).toEqual(chain.head);
  }
  expect(await image.read((database) => database.query("PRAGMA integrity_check").get())).toEqual({
    integrity_check: "ok",
  });
});

test("a database that shrinks takes the file and the checksum with it", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  for (let i = 0; i < 200; i++) {
    chain.database.run("INSERT INTO t(name) VALUES (?)", ["x".repeat(900)]);
  }
  const image = await imageOf();
  const before = image.head.commit;
  chain.database.run("DELETE FROM t WHERE id > 3");
  chain.database.run("VACUUM");
  await image.apply(chain.next());
  expect(image.head.commit).toBeLessThan(before / 2);
  expect(Bun.file(image.path).size).toBe(image.head.commit * chain.pageSize);
  expect(await image.read(names)).toHaveLength(3);
});

test("an epoch with a wrong checksum leaves the image as it was, and nothing follows [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  const bytes = readFileSync(image.path);
  chain.database.run("INSERT INTO t(name) VALUES ('a')");
  const epoch = chain.next();
  const wrong = { ...epoch.header, databaseChecksum: epoch.header.databaseChecksum ^ 1n };
  expect(await failure(image.apply({ ...epoch, header: wrong }))).toMatch(/^corrupt: .*checksum/);
  expect(await failure(image.apply(epoch))).toMatch(/^corrupt/);
  expect(readFileSync(image.path).equals(bytes)).toBe(true);
  expect(image.waitingBytes).toBe(0);
});

test("a gap, an old epoch, another page size and a foreign link are refused [I9]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const cases = {
    "do not follow": { minEpoch: 3, maxEpoch: 3 },
    "do not follow it": { minEpoch: 1, maxEpoch: 1 },
    "have 2048 bytes": { pageSize: 2048 },
    "file checksum": { link: 7n },
  };
  for (const [message, change] of Object.entries(cases)) {
    chain.database.run("INSERT INTO t(name) VALUES ('a')");
    const image = await imageOf(join(directory, `${Object.keys(change)[0]}${message.length}.db`));
    const head = image.head.epoch;
    chain.database.run("INSERT INTO t(name) VALUES ('a')");
    const epoch = chain.next();
    const numbers = "minEpoch" in change
      ? { minEpoch: change.minEpoch - 1 + head, maxEpoch: change.maxEpoch - 1 + head }
      : change;
    expect(await failure(image.apply({ ...epoch, header: { ...epoch.header, ...numbers } })))
      .toMatch(
        new RegExp(`^corrupt: .*${message}`),
      );
  }
});

test("a compacted object over several epochs is taken, and its link is the next one's", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  const pages = new Map<number, Uint8Array>();
  for (let i = 0; i < 3; i++) {
    chain.database.run("INSERT INTO t(name) VALUES ('a')");
    for (const page of chain.next().pages) pages.set(page.number, page.bytes);
  }
  const header = { ...chain.last.header, minEpoch: 2, link: chain.last.fileChecksum };
  const sorted = [...pages].sort(([a], [b]) => a - b).map(([number, bytes]) => ({ number, bytes }));
  await image.apply({ header, pages: sorted, fileChecksum: 99n });
  expect(image.head).toEqual(chain.head);
  chain.database.run("INSERT INTO t(name) VALUES ('b')");
  await image.apply(chain.next());
  expect(await image.read(names)).toEqual(["a", "a", "a", "b"]);
});

test("a copy is the image of the moment it began, whatever is applied meanwhile [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.database.run(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     INSERT INTO t(name) SELECT hex(randomblob(300)) FROM n`,
  );
  const image = await imageOf(undefined, undefined, hastyClock());
  const bytes = readFileSync(image.path);
  const head = image.head;
  let ready = 0;
  const copies = ["a", "b"].map(async (name) => {
    expect(await image.copy(join(directory, name))).toEqual(head);
    ready++;
  });
  chain.database.run("UPDATE t SET name = hex(randomblob(300)) WHERE id BETWEEN 19000 AND 19100");
  const update = image.apply(chain.next());
  chain.database.run("DELETE FROM t WHERE id > 50");
  chain.database.run("VACUUM");
  await Promise.all([update, image.apply(chain.next())]);
  // The test is worth something only if the copies are still on their way.
  expect(ready).toBe(0);
  expect(image.head.commit).toBeLessThan(head.commit / 2);
  await Promise.all(copies);
  for (const name of ["a", "b"]) {
    expect(readFileSync(join(directory, name)).equals(bytes)).toBe(true);
  }
});

test("a copy that finds no room for what is overwritten fails alone, and the image goes on [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.database.run(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
     INSERT INTO t(name) SELECT hex(randomblob(300)) FROM n`,
  );
  const image = await imageOf(undefined, undefined, hastyClock());
  const path = join(directory, "copy");
  const copied = failure(image.copy(path));
  const { writeBytes } = PageFile.prototype;
  const write = spyOn(PageFile.prototype, "writeBytes").mockImplementation(
    function (this: PageFile, page, bytes) {
      // A page by itself is one that is kept; what the copy reads comes in longer runs.
      const isKept = this.path === path && bytes.byteLength === this.pageSize;
      if (isKept) throw new Error("ENOSPC: no space left on device");
      return writeBytes.call(this, page, bytes);
    },
  );
  chain.database.run("UPDATE t SET name = 'new' WHERE id = 19000");
  await image.apply(chain.next());
  expect(await copied).toContain("ENOSPC");
  write.mockRestore();
  expect(existsSync(path)).toBe(false);
  expect(
    await image.read((database) => database.query("SELECT name FROM t WHERE id = 19000").values()),
  ).toEqual([["new"]]);
});

test("a page that rotted in memory stops a copy and a scrub, which name it [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.database.run("INSERT INTO t(name) VALUES (?)", ["x".repeat(20_000)]);
  const image = await imageOf();
  expect(await scrubAll(image)).toBe(image.head.commit);
  // In another process: closing a descriptor here would drop SQLite's locks.
  const rot = Bun.spawnSync([
    process.execPath,
    "-e",
    `const fs = require("fs"); const f = fs.openSync(${JSON.stringify(image.path)}, "r+");
     fs.writeSync(f, new Uint8Array([1]), 0, 1, 4 * 1024 + 77);`,
  ]);
  expect(rot.exitCode).toBe(0);
  expect(await failure(scrubAll(image))).toMatch(/^corrupt: Page 5 of/);
  expect(await failure(image.copy(join(directory, "copy.db")))).toMatch(/^corrupt: Page 5 of/);
  expect(existsSync(join(directory, "copy.db"))).toBe(false);
});

test("whoever waits for an epoch is told when it is in, or at the deadline", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  const late = image.reached(3, systemClock.monotonicMs() + 30);
  const waits = image.reached(2, systemClock.monotonicMs() + 5_000);
  chain.database.run("INSERT INTO t(name) VALUES ('a')");
  await Promise.all([image.apply(chain.next()), waits]);
  expect(await failure(late)).toMatch(/^unavailable: .*head was 2/);
  await image.reached(1, 0);
});

test("epochs wait for reads at the gate, which are cancelled after the conflict time", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf(undefined, 60);
  let cancelled = 0;
  const read = {
    begin: () => {},
    cancel: () => {
      cancelled++;
      setTimeout(() => image.gate.leave(read), 10);
    },
  };
  image.gate.enter(read);
  chain.database.run("INSERT INTO t(name) VALUES ('a')");
  const from = performance.now();
  const done = image.apply(chain.next());
  expect(image.waitingBytes).toBe(chain.last.pages.length * chain.pageSize);
  await done;
  expect(cancelled).toBe(1);
  expect(performance.now() - from).toBeGreaterThan(65);
  expect(image.waitingBytes).toBe(0);
});

test("a foreign process that holds SQLite's lock delays an epoch but blocks nothing", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  const holder = Bun.spawn([
    process.execPath,
    "-e",
    `const { Database } = require("bun:sqlite");
     const d = new Database(${JSON.stringify(image.path)}, { readonly: true });
     d.run("BEGIN"); d.query("SELECT * FROM t").all(); console.log("held");
     await Bun.sleep(200); d.run("COMMIT");`,
  ], { stdout: "pipe" });
  await holder.stdout.getReader().read();
  chain.database.run("INSERT INTO t(name) VALUES ('a')");
  let turns = 0;
  let done = false;
  const applied = image.apply(chain.next()).then(() => void (done = true));
  while (!done) {
    await systemClock.sleep(1);
    turns++;
  }
  await applied;
  expect(turns).toBeGreaterThan(20);
  expect(await image.read(names)).toEqual(["a"]);
  await holder.exited;
});

test("a builder takes objects in any order of pages, and later ones win", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  for (let i = 0; i < 100; i++) {
    chain.database.run("INSERT INTO t(name) VALUES (?)", ["x".repeat(900)]);
  }
  const path = join(directory, "built.db");
  const builder = await createImage({ ...parts, path, pageSize: chain.pageSize });
  const first = chain.next();
  await builder.write([...first.pages].reverse(), first.header.commit);
  chain.database.run("DELETE FROM t WHERE id > 3");
  chain.database.run("VACUUM");
  const second = chain.next();
  await builder.write(second.pages, second.header.commit);
  chain.database.run("INSERT INTO t(name) VALUES (?)", ["y".repeat(5_000)]);
  const third = chain.next();
  for (const page of third.pages) await builder.write([page], third.header.commit);
  await builder.finishFile(chain.head);
  const built = new Database(path, { readonly: true });
  expect(names(built)).toHaveLength(4);
  built.close();
});

test("a builder with wrong or missing pages is corrupt and leaves no file", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const first = chain.next();
  for (const pages of [first.pages.slice(1), first.pages.slice(0, -1)]) {
    const path = join(directory, "built.db");
    const builder = await createImage({ ...parts, path, pageSize: chain.pageSize });
    await builder.write(pages, first.header.commit);
    expect(await failure(builder.finish(chain.head))).toMatch(/^corrupt: Cannot build epoch 1/);
    expect(existsSync(path)).toBe(false);
  }
});

test("a closed image is gone, and what waited for it is told", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  const waits = failure(image.reached(9, systemClock.monotonicMs() + 5_000));
  await image.close();
  open = [];
  expect(await waits).toMatch(/^unavailable/);
  expect(existsSync(image.path)).toBe(false);
  let cancelled = false;
  image.gate.enter({ begin: () => {}, cancel: () => void (cancelled = true) });
  expect(cancelled).toBe(true);
});

test("an image that is closed while an epoch is on its way into it is gone all the same", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.next();
  const clock = hastyClock();
  // At each of the steps that an epoch takes, a turn of the event loop apart.
  for (let turns = 0; turns < 6; turns++) {
    const path = join(directory, `image-${turns}.db`);
    const builder = await createImage({ ...parts, clock, path, pageSize: chain.pageSize });
    await builder.write(chain.pages(), chain.head.commit);
    const image = await builder.finish(chain.head);
    chain.database.run("INSERT INTO t(name) VALUES ('late')");
    const applied = image.apply(chain.next()).then(() => "applied", ({ kind }) => kind);
    for (let turn = 0; turn < turns; turn++) await systemClock.turn();
    await image.close();
    expect(await applied).toBeOneOf(["applied", "unavailable"]);
    expect(existsSync(path)).toBe(false);
  }
});

async function scrubAll(image: Image): Promise<number> {
  for (;;) {
    const { pages, done } = await image.scrubSlice();
    if (done) return pages;
  }
}

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    const { kind, message } = error as { kind: string; message: string };
    return `${kind}: ${message}`;
  }
  return "it succeeded";
}

test("a rehearsal sees the newest epoch and what it writes, and leaves nothing behind [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  const rows = () =>
    image.rehearse((rehearsal) => {
      rehearsal.run({ sql: "INSERT INTO t (name) VALUES ('rehearsed')" });
      return rehearsal.read({ sql: "SELECT name FROM t" }).rows;
    });
  expect(await rows()).toEqual([["rehearsed"]]);
  chain.database.run("INSERT INTO t (name) VALUES ('durable')");
  await image.apply(chain.next());
  expect(await rows()).toEqual([["durable"], ["rehearsed"]]);
  expect(await image.read(names)).toEqual(["durable"]);
  chain.database.run("INSERT INTO t (name) VALUES ('later')");
  await image.apply(chain.next());
  expect((await image.scrubSlice()).done).toBe(true);
});

test("after a statement that ended a rehearsal's transaction none runs [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.database.run("INSERT INTO t VALUES (1, 'durable')");
  const image = await imageOf();
  await image.rehearse((rehearsal) => {
    const ends = "INSERT OR ROLLBACK INTO t VALUES (1, 'again')";
    expect(() => rehearsal.run({ sql: ends })).toThrow("UNIQUE");
    expect(() => rehearsal.run({ sql: "DELETE FROM t" })).toThrow("has ended the transaction");
  });
  expect(await image.read(names)).toEqual(["durable"]);
});

test("a rehearsal's reads write nothing, and it is over when its function returns", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  const image = await imageOf();
  const kept = await image.rehearse((rehearsal) => {
    const insert = { sql: "WITH x(a) AS (SELECT 1) INSERT INTO t SELECT a, 'x' FROM x" };
    expect(() => rehearsal.read(insert)).toThrow("send it to execute");
    return rehearsal;
  });
  expect(() => kept.run({ sql: "SELECT 1" })).toThrow("over");
});
