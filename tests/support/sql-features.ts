/**
 * What SQLite can do, as transactions to run, and what a database holds afterwards, table by table.
 */
import { Database } from "bun:sqlite";
import { expect } from "bun:test";

/** Each item is a transaction. All are deterministic: the same on every SQLite of this version. */
export const TRANSACTIONS: readonly (readonly string[])[] = [
  [
    "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, price REAL)",
    "CREATE TABLE counter (what TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO counter VALUES ('inserted', 0), ('deleted', 0)",
    `CREATE TRIGGER count_in AFTER INSERT ON item
     BEGIN UPDATE counter SET n = n + 1 WHERE what = 'inserted'; END`,
    `CREATE TRIGGER count_out AFTER DELETE ON item
     BEGIN UPDATE counter SET n = n + CASE WHEN OLD.id > 0 THEN 1 ELSE 2 END
     WHERE what = 'deleted'; END`,
    "INSERT INTO item (name, price) VALUES ('pen', 1.5), ('ink', 2.25), ('Ωλ𐍈', -0.0)",
  ],
  // AUTOINCREMENT goes on after deletes.
  ["DELETE FROM item WHERE id = 3", "INSERT INTO item (name) VALUES ('fourth')"],
  ["DELETE FROM item", "INSERT INTO item (name) VALUES ('fifth')"],
  [
    "CREATE TABLE nokey (a, b, UNIQUE (a, b))",
    "INSERT INTO nokey VALUES (NULL, 1), (NULL, 1), (NULL, NULL), (1, NULL), (1, NULL), (1, 2)",
    "CREATE TABLE nullkey (k TEXT PRIMARY KEY, v)",
    "INSERT INTO nullkey VALUES (NULL, 1), (NULL, 2), ('a', 3)",
    "CREATE TABLE intkey (k INT PRIMARY KEY, v)",
    "INSERT INTO intkey VALUES (9223372036854775807, x'00ff'), (-9223372036854775808, 1e308)",
  ],
  [
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
    `CREATE TABLE child (id INTEGER PRIMARY KEY,
       parent INTEGER REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE,
       name TEXT REFERENCES parent (name) ON DELETE SET NULL)`,
    "INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    "INSERT INTO child VALUES (1, 1, 'b'), (2, 1, 'c'), (3, 2, 'b'), (4, 3, 'a')",
  ],
  ["DELETE FROM parent WHERE id = 1", "UPDATE parent SET id = 20 WHERE id = 2"],
  [
    `CREATE TABLE made (a INTEGER, b INTEGER AS (a * 2) STORED, c TEXT AS (a || '-' || b) VIRTUAL,
       CHECK (a < 1000)) STRICT`,
    "INSERT INTO made (a) VALUES (1), (2), (999)",
    "CREATE INDEX made_c ON made (c) WHERE a > 1",
    "CREATE INDEX made_expression ON made (a % 10, upper(c) COLLATE NOCASE DESC)",
    "UPDATE made SET a = a - 1",
  ],
  [
    "CREATE VIRTUAL TABLE text USING fts5 (title, body, tokenize = 'porter unicode61')",
    "INSERT INTO text VALUES ('One', 'the quick brown foxes'), ('Two', 'lazy dogs running')",
    "INSERT INTO text (text) VALUES ('optimize')",
    "DELETE FROM text WHERE rowid = 1",
    "INSERT INTO text (title, body) VALUES ('Three', 'a fox runs')",
  ],
  [
    "CREATE VIRTUAL TABLE box USING rtree (id, x0, x1, y0, y1, +label TEXT)",
    `INSERT INTO box WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300)
     SELECT i, i, i + 2, i % 17, i % 17 + 3, 'box ' || i FROM n`,
    "DELETE FROM box WHERE id % 5 = 0",
  ],
  [
    "ALTER TABLE item ADD COLUMN stock INTEGER DEFAULT 5",
    "ALTER TABLE item RENAME COLUMN price TO cost",
    "ALTER TABLE nokey RENAME TO keyless",
    "INSERT INTO item (name, cost) VALUES ('sixth', 6)",
  ],
  ["ALTER TABLE item DROP COLUMN cost", "REINDEX", "ANALYZE"],
  ["PRAGMA user_version = 42", "PRAGMA application_id = 7"],
  [
    "CREATE VIEW cheap AS SELECT id, name FROM item WHERE stock < 6",
    `CREATE TRIGGER through INSTEAD OF INSERT ON cheap
     BEGIN INSERT INTO item (name, stock) VALUES (NEW.name, 1); END`,
    "INSERT INTO cheap (name) VALUES ('through a view')",
  ],
  [
    "CREATE TABLE upserted (k TEXT PRIMARY KEY, n INTEGER)",
    "INSERT INTO upserted VALUES ('a', 1), ('b', 1)",
    "INSERT INTO upserted VALUES ('a', 5), ('c', 1) ON CONFLICT (k) DO UPDATE SET n = n + 10",
    "REPLACE INTO upserted VALUES ('b', 100)",
    "INSERT OR IGNORE INTO upserted VALUES ('b', 101), ('d', 1)",
    "UPDATE upserted SET n = n + s.more FROM (SELECT 'd' AS k, 7 AS more) AS s WHERE s.k = upserted.k",
  ],
  [
    "CREATE TABLE wide (id INTEGER PRIMARY KEY, x TEXT)",
    `INSERT INTO wide WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
     SELECT i, hex(zeroblob(150)) || i FROM n`,
    "CREATE INDEX wide_x ON wide (x)",
  ],
  // The database shrinks.
  ["DELETE FROM wide WHERE id > 10", "DROP INDEX wide_x", "PRAGMA incremental_vacuum"],
  ["DROP TABLE keyless", "DROP VIEW cheap", "DROP TRIGGER count_out", "PRAGMA incremental_vacuum"],
  ["CREATE TABLE keyless (another TEXT)", "INSERT INTO keyless VALUES ('again')"],
  [
    `CREATE TABLE "odd ""name" ("a b" INTEGER, [c], \`d\`)`,
    `INSERT INTO "odd ""name" VALUES (1, 2, 3)`,
  ],
  ["CREATE TABLE copied AS SELECT * FROM wide ORDER BY id DESC", "DROP TABLE wide"],
];

/** Questions that only an intact index, full text or tree answers rightly. */
export const QUESTIONS = [
  "SELECT rowid, title FROM text WHERE text MATCH 'fox OR dog' ORDER BY rowid",
  "SELECT id, label FROM box WHERE x0 < 50 AND x1 > 30 AND y1 > 9 ORDER BY id",
  "SELECT c FROM made WHERE c > '0' AND a > 1 ORDER BY c",
  "SELECT name, seq FROM sqlite_sequence",
  "SELECT k, n FROM upserted ORDER BY k",
  "SELECT * FROM child ORDER BY id",
  "SELECT * FROM item ORDER BY name",
];

export type Content = Readonly<Record<string, unknown>>;

/** Every table with its schema and rows, in order; machinery left out. */
export function contentOf(database: Database): Content {
  const schema = database.query(
    "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE '\\_headgate%' ESCAPE '\\' " +
      "AND name NOT LIKE 'sqlite\\_autoindex\\_\\_headgate%' ESCAPE '\\' ORDER BY type, name",
  ).values() as string[][];
  const tables = schema.filter(([type, name]) => type === "table" && name !== "sqlite_stat1")
    .map(([, name]) => name!);
  const rows = tables.map((name) => {
    const sql = `SELECT * FROM "${name.replaceAll('"', '""')}"`;
    const found = database.query(sql).values().map((row) => row.map(plainly).join("|"));
    return [name, found.sort()];
  });
  const pragma = (name: string) => database.query(`PRAGMA ${name}`).values();
  return {
    schema,
    ...Object.fromEntries(rows),
    user_version: pragma("user_version"),
    application_id: pragma("application_id"),
  };
}

/** A value with its type, so that 1, 1.0, '1' and x'31' differ. */
function plainly(value: unknown): string {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return `${typeof value} ${Object.is(value, -0) ? "-0" : value}`;
}

export function exported(file: Uint8Array): Content {
  const database = Database.deserialize(file, { safeIntegers: true });
  try {
    expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
    expect(database.query("PRAGMA foreign_key_check").values()).toEqual([]);
    return contentOf(database);
  } finally {
    database.close();
  }
}
