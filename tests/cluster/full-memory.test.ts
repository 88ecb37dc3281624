/**
 * The folder for databases in memory is full: whoever asks has an answer by the deadline, and all is
 * well again when there is room. The test mounts a small one, which only root may.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must } from "../support/client.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";

const MOUNT_BYTES = 48 * 1024 * 1024;
const TIMEOUT_MS = 1_000;
/** The machine may be busy; without an answer it would be the client's 20 s. */
const ANSWER_MS_MAX = 5_000;

const folder = new NodeFolder();
const memoryDir = join(folder.path, "small");
const reason = mounted();
if (reason) console.log(`full-memory.test.ts skipped: ${reason}`);
let node: NodeProcess | undefined;
const filler = join(memoryDir, "filler");

afterAll(async () => {
  await node?.kill();
  // Its children end a moment after it.
  if (reason === null) Bun.spawnSync(["umount", "--lazy", memoryDir]);
  await folder.remove();
});

test.skipIf(reason !== null)(
  "a query that finds no room for its reader is answered, and the next one runs when there is",
  async () => {
    node = await folder.node({ store: folder.fileStore(), memoryDir }).start();
    const client = node.client();
    must(await client.create("app"));
    must(await client.execute("app", "CREATE TABLE t (x)"));
    fill();
    for (let attempt = 0; attempt < 2; attempt++) {
      const startedMs = performance.now();
      const answer = await client.query("app", "SELECT 1", [], { timeout_ms: TIMEOUT_MS });
      expect([answer.status, answer.body.error.kind]).toEqual([503, "unavailable"]);
      expect(performance.now() - startedMs).toBeLessThan(ANSWER_MS_MAX);
    }
    expect(node.log).toContain("cannot start a reader process");
    rmSync(filler);
    expect(await client.rows("app", "SELECT 1")).toEqual([[1]]);
    must(await client.execute("app", "INSERT INTO t VALUES (1)"));
    expect(await client.rows("app", "SELECT x FROM t")).toEqual([[1]]);
    client.close();
  },
  60_000,
);

/** Why there is no small folder; null where it is mounted. */
function mounted(): string | null {
  if (process.getuid?.() !== 0) return "only root may mount a small folder";
  mkdirSync(memoryDir);
  const command = ["mount", "-t", "tmpfs", "-o", `size=${MOUNT_BYTES}`, "tmpfs", memoryDir];
  const { exitCode, stderr } = Bun.spawnSync(command);
  return exitCode === 0 ? null : `a tmpfs cannot be mounted here: ${stderr.toString().trim()}`;
}

function fill(): void {
  const page = new Uint8Array(4096);
  try {
    while (true) writeFileSync(filler, page, { flag: "a" });
  } catch (error) {
    expect(Object(error).code).toBe("ENOSPC");
  }
}
