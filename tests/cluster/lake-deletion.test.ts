/**
 * Files that nobody can need go from the bucket, and no others, at the shortest restore window: not
 * before what condemned them has left it, also when the leader is killed meanwhile (I15).
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { LakeClient, lines, must } from "../support/lake-client.ts";
import { NodeFolder } from "../support/node-process.ts";

const WINDOW_MS = 30_000;
/** The window, a minute's margin, and how often is looked: a look each eighth of the window. */
const GONE_MS = 150_000;
const FILES = 5;
const ROWS = 100;

const folder = new NodeFolder();
const node = folder.node({
  store: folder.fileStore(),
  set: { "retention.window": "30s", "retention.every_epoch": "30s" },
});
afterAll(async () => {
  await folder.remove();
});

test(
  "files that were merged go when the restore window has passed, and no row with them",
  async () => {
    await node.start();
    const files = () => {
      const data = join(folder.path, "store-1/lakes/web/data");
      return existsSync(data) ? readdirSync(data).filter((name) => name.endsWith(".parquet")) : [];
    };
    let client = new LakeClient(node.url);
    must(await client.create("web"));
    must(
      await client.json("POST", "/v1/lakes/web/tables", {
        ...{ name: "t", columns: [{ name: "id", type: "int64" }] },
      }),
    );
    for (let file = 0; file < FILES; file++) {
      const rows = Array.from({ length: ROWS }, (_, row) => ({ id: file * ROWS + row }));
      must(await client.rows("web", "t", lines(rows)));
      must(await client.json("POST", "/v1/lakes/web/flush", {}));
    }
    const before = files();
    must(await client.json("POST", "/v1/lakes/web/merge", {}));
    const mergedMs = performance.now();
    const merged = files().filter((name) => !before.includes(name));
    expect([before.length, merged.length]).toEqual([FILES, 1]);
    client.close();

    await node.kill("SIGKILL");
    await node.start();
    client = new LakeClient(node.url);
    expect(files().toSorted()).toEqual([...before, ...merged].toSorted());
    await eventually("files are deleted", () => files().length === 1, { withinMs: GONE_MS });
    expect(performance.now() - mergedMs).toBeGreaterThan(WINDOW_MS);
    expect(files()).toEqual(merged);
    const read = await client.select("web", "SELECT count(*), count(DISTINCT id), max(id) FROM t");
    expect(read).toEqual([[FILES * ROWS, FILES * ROWS, FILES * ROWS - 1]]);
    client.close();
  },
  GONE_MS + 60_000,
);
