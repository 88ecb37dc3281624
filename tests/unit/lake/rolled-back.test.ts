import { afterAll, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { undateCondemned } from "../../../src/lake/rolled-back.ts";
import { LakeCatalog } from "../../support/lake-catalog.ts";

const folder = mkdtempSync(join(tmpdir(), "headgate-rolled-back-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a catalog that is rolled back says of no condemned file since when, and is one file [I15]", () => {
  const path = join(folder, "catalog.db");
  {
    using ours = new LakeCatalog(path);
    ours.database.run(
      "INSERT INTO _headgate_condemned VALUES ('data/a', 5, 'x'), ('data/b', 7, 'y')",
    );
  }
  undateCondemned(path);
  using database = new Database(path, { readonly: true });
  expect(database.query("SELECT path, epoch FROM _headgate_condemned").values())
    .toEqual([["data/a", null], ["data/b", null]]);
  expect(readdirSync(folder)).toEqual(["catalog.db"]);
});

test("a database without a lake's tables is left as it is", () => {
  const path = join(folder, "other.db");
  new Database(path).run("CREATE TABLE t(a)");
  expect(() => undateCondemned(path)).not.toThrow();
});
