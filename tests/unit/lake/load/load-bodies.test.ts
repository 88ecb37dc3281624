import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { LOAD_BATCH_ROWS, PARQUET_ROWS_MAX } from "../../../../src/base/lake-limits.ts";
import { vectorsOf } from "../../../../src/lake/parquet/write.ts";
import { FileOutput } from "../../../../src/lake/load/file-output.ts";
import { loadBodies } from "../../../../src/lake/load/load-bodies.ts";
import type { BodyPlace, Loaded } from "../../../../src/lake/load/message.ts";
import { column } from "../../../support/lake-queries.ts";

const COLUMNS = [column(1, "id", "int64"), column(2, "text", "varchar")];
const TABLE = { id: 1, version: 1, columns: COLUMNS };

let folder: string;
beforeEach(() => folder = mkdtempSync(join(tmpdir(), "headgate-load-")));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const output = () => ({ path: join(folder, "out"), name: "data/x" });
const written = () => readdirSync(folder).filter((name) => name.startsWith("out")).sort();

/** All bodies in one file, as a job has them. */
async function load(
  bodies: readonly (string | Uint8Array)[],
  { inlineBytesMax = 1e6, encoding = null as string | null } = {},
): Promise<Loaded> {
  const path = join(folder, "bodies");
  const all = bodies.map((body) => Buffer.from(body));
  writeFileSync(path, Buffer.concat(all));
  let offset = 0;
  const places = all.map((body): BodyPlace => {
    const place = { path, offset, bytes: body.length, format: "ndjson" as const, encoding };
    offset += body.length;
    return place;
  });
  return await loadBodies({ table: TABLE, bodies: places, inlineBytesMax, output: output() });
}

const rows = (first: number, count: number, text = "x") =>
  Array.from({ length: count }, (_, index) => `{"id":${first + index},"text":"${text}"}\n`).join(
    "",
  );
const outcomes = ({ bodies }: Loaded) =>
  bodies.map((one) => "rows" in one ? one.rows : one.failure.kind);
const made = ({ change }: Loaded) => change?.made ?? null;
/** Values of the first column, from the statement that inlines them. */
const inlined = ({ change }: Loaded) => {
  const params = change?.statements.map(({ params }) => params ?? {}) ?? [];
  const text = params.flatMap((one) => "rows" in one ? [String(one["rows"])] : [])[0] ?? "[]";
  return (JSON.parse(text) as unknown[][]).map(([id]) => id);
};
const BAD = '{"id":1}\n{"id":"x"}\n';

describe("small bodies", () => {
  test("become rows of the catalog, without those of bodies that do not fit", async () => {
    const loaded = await load([rows(1, 2), BAD, rows(3, 1), BAD, "", rows(4, 1)]);
    expect(outcomes(loaded)).toEqual([2, "invalid", 1, "invalid", 0, 1]);
    expect([made(loaded), inlined(loaded)]).toEqual(["inlined_insert:1", [1, 2, 3, 4]]);
    expect([loaded.files, written()]).toEqual([[], []]);
  });

  test("leave nothing of one that fails after its first batch", async () => {
    const bad = rows(10, LOAD_BATCH_ROWS + 12_000) + BAD;
    const loaded = await load([bad, rows(1, 2), rows(3, 1)]);
    expect(outcomes(loaded)).toEqual(["invalid", 2, 1]);
    expect([made(loaded), inlined(loaded)]).toEqual(["inlined_insert:1", [1, 2, 3]]);
  });

  test("of which none fits make no change", async () => {
    const loaded = await load([BAD, BAD]);
    expect([outcomes(loaded), made(loaded), loaded.files]).toEqual([
      ["invalid", "invalid"],
      null,
      [],
    ]);
  });

  test("without rows make no change", async () => {
    const loaded = await load(["", "\n"]);
    expect([outcomes(loaded), made(loaded)]).toEqual([[0, 0], null]);
  });

  test("that were only compressed well become a file, whatever comes before and after", async () => {
    const encoding = "gzip";
    const many = gzipSync(rows(10, 50_000));
    const loaded = await load([gzipSync(rows(1, 2)), many, gzipSync(BAD), gzipSync(rows(3, 1))], {
      encoding,
    });
    expect(outcomes(loaded)).toEqual([2, 50_000, "invalid", 1]);
    expect([made(loaded), loaded.files.map((file) => file.rows)])
      .toEqual(["inserted_into_table:1", [50_003]]);
  });

  test("whose large one turns out bad stay small, all of the others", async () => {
    const encoding = "gzip";
    const bad = gzipSync(rows(10, 50_000) + '{"id":"x"}');
    const loaded = await load([gzipSync(rows(1, 2)), bad, gzipSync(rows(3, 1))], { encoding });
    expect(outcomes(loaded)).toEqual([2, "invalid", 1]);
    expect([made(loaded), inlined(loaded)]).toEqual(["inlined_insert:1", [1, 2, 3]]);
    expect(written()).toEqual([]);
  });
});

describe("large bodies", () => {
  const inlineBytesMax = 0;

  test("go into one file together, without those that do not fit", async () => {
    const loaded = await load([rows(1, 20_000), rows(1, 30_000) + "{", rows(1, 20_000)], {
      inlineBytesMax,
    });
    expect(outcomes(loaded)).toEqual([20_000, "invalid", 20_000]);
    expect(loaded.files).toMatchObject([{ rows: 40_000, name: "data/x-1.parquet" }]);
    expect(written()).toEqual(["out-1"]);
  });

  test("are read again without the one that fails when some of it is in a file", async () => {
    const wide = "x".repeat(4_000);
    const bad = rows(1, 15_500, wide) + "{";
    const loaded = await load([rows(1, 10), bad, rows(11, 10)], { inlineBytesMax });
    expect(outcomes(loaded)).toEqual([10, "invalid", 10]);
    expect(loaded.files).toMatchObject([{ rows: 20 }]);
    expect(written()).toEqual(["out-1"]);
  });

  test("leave no file when the system has no room", async () => {
    writeFileSync(join(folder, "out-2"), "taken");
    const wide = rows(1, 15_500, "x".repeat(4_000));
    const thrown = await load([wide], { inlineBytesMax }).catch((error) => error);
    expect(thrown).toMatchObject({ code: "EEXIST" });
    expect(written()).toEqual(["out-2"]);
  });
});

describe("an output of files", () => {
  const batch = (count: number) =>
    vectorsOf(COLUMNS, {
      columns: COLUMNS,
      rows: count,
      vectors: [Array.from({ length: count }, (_, index) => index), new Array(count).fill("x")],
    });

  test("goes back to a mark as long as nothing after it is in a file", () => {
    const files = new FileOutput(COLUMNS, output());
    files.add(batch(10));
    const mark = files.mark();
    files.add(batch(20));
    expect(files.backTo(mark)).toBe(true);
    expect(files.finish().loaded).toMatchObject([{ rows: 10 }]);
  });

  test("begins another file before one has too many rows, and then cannot go back", () => {
    const files = new FileOutput(COLUMNS, output());
    const mark = files.mark();
    const half = batch(PARQUET_ROWS_MAX / 2);
    for (let index = 0; index < 3; index++) files.add(half);
    expect(files.backTo(mark)).toBe(false);
    const { loaded, data } = files.finish();
    expect(loaded.map((file) => file.rows)).toEqual([PARQUET_ROWS_MAX, PARQUET_ROWS_MAX / 2]);
    expect(data.map(({ path }) => path)).toEqual(["data/x-1.parquet", "data/x-2.parquet"]);
    files.discard();
    expect(written()).toEqual([]);
  });

  test("without rows makes no file", () => {
    expect(new FileOutput(COLUMNS, output()).finish()).toEqual({ loaded: [], data: [] });
  });
});
