/** DuckDB out of an executable that is built as the product is, away from the repository. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindingFiles } from "../../scripts/duckdb-binding.ts";
import { embeddedBinding } from "../../src/lake/query/native-binding.ts";

const root = join(import.meta.dir, "../..");
const here = `${process.platform}-${process.arch}`;
const otherTarget = "linux-arm64";

let directory: string;
let program: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-lake-binary-"));
  program = join(directory, "program");
  build(program, []);
}, 120_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function build(out: string, args: readonly string[]): string {
  const entry = ["--entry", "tests/support/lake-query-program.ts", "--out", out];
  const { exitCode, stderr } = Bun.spawnSync(
    [process.execPath, join(root, "scripts/build.ts"), ...entry, ...args],
    { cwd: root, stdio: ["ignore", "ignore", "pipe"] },
  );
  expect(exitCode, stderr.toString()).toBe(0);
  return stderr.toString();
}

async function run(folder: string, sql: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const child = Bun.spawn([program, folder, sql], { cwd: "/", env: {}, stderr: "inherit" });
  return await new Response(child.stdout).text();
}

test(
  "an executable queries with the DuckDB that it carries, and leaves nothing behind",
  async () => {
    const folder = join(directory, "alone");
    const { rows } = JSON.parse(await run(folder, "SELECT version(), 6 * 7"));
    expect(rows).toEqual([["v1.5.5", 42]]);
    expect(readdirSync(join(folder, "children"))).toEqual([]);
    expect(readdirSync(folder)).toEqual(["children"]);
  },
  60_000,
);

test("an executable for a target whose DuckDB is not installed is built, and says so", () => {
  if (bindingFiles(root, otherTarget).length > 0) return;
  const said = build(join(directory, "other"), ["--target", otherTarget]);
  expect(said).toContain(`no DuckDB for ${otherTarget} is installed`);
}, 120_000);

test("a program without DuckDB answers unavailable", async () => {
  const failure = await embeddedBinding([], "1").path(directory).catch((error) => error);
  expect(failure.kind).toBe("unavailable");
  expect(failure.message).toContain("this build of Headgate has no DuckDB");
});

test("a node without room for DuckDB says so, and tries again at the next query", async () => {
  const folder = join(directory, "later");
  const lost = [{ name: "duckdb.node", path: join(directory, "not-there-yet") }];
  const binding = embeddedBinding(lost, "1");
  const failure = await binding.path(folder).catch((error) => error);
  expect(failure.kind).toBe("unavailable");
  expect(readdirSync(folder)).toEqual([]);
  copyFileSync(import.meta.path, join(directory, "not-there-yet"));
  expect(await binding.path(folder)).toBe(join(folder, "duckdb/duckdb.node"));
});

test("processes that unpack at the same time end up with one whole copy", async () => {
  const files = bindingFiles(root, here).map((path) => {
    const copy = join(directory, path.slice(path.lastIndexOf("/") + 1));
    copyFileSync(path, copy);
    return { name: path.slice(path.lastIndexOf("/") + 1), path: copy };
  });
  const folder = join(directory, "shared");
  const paths = await Promise.all(
    ["1", "2", "3", "4"].map((unique) => embeddedBinding(files, unique).path(folder)),
  );
  expect(new Set(paths)).toEqual(new Set([join(folder, "duckdb/duckdb.node")]));
  expect(readdirSync(folder)).toEqual(["duckdb"]);
  expect(readdirSync(join(folder, "duckdb")).sort()).toEqual(files.map(({ name }) => name).sort());
}, 60_000);
