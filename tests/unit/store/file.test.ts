import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { openFileStore } from "../../../src/store/file.ts";
import { storeConformance } from "../../support/store-conformance.ts";

const parts = { clock: systemClock, random: systemRandom };
const folders: string[] = [];
async function emptyFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "headgate-file-store-"));
  folders.push(made);
  return made;
}
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

storeConformance("a directory", {
  open: async (shared) =>
    await openFileStore(shared ? shared.name.slice("file://".length) : await emptyFolder(), parts),
});

describe("the file store", () => {
  test("makes its directory with every folder above it", async () => {
    const root = join(await emptyFolder(), "a/b/c");
    const store = await openFileStore(root, parts);
    expect(store.name).toBe(`file://${root}`);
    expect(await store.create("x", new Uint8Array(3))).toBe("created");
    expect((await stat(join(root, "x"))).size).toBe(3);
  });

  test("leaves no temporary file behind, whether it wins or loses", async () => {
    const root = await emptyFolder();
    const store = await openFileStore(root, parts);
    await store.create("k", new Uint8Array(1));
    await store.create("k", new Uint8Array(1));
    const etag = (await store.head("k"))?.etag ?? "";
    await store.replace("k", new Uint8Array(2), etag);
    expect(await readdir(join(root, ".headgate"))).toEqual([]);
  });

  test("hides temporary files and removes those older than a day at the next open", async () => {
    const root = await emptyFolder();
    await openFileStore(root, parts);
    const old = join(root, ".headgate/old");
    const young = join(root, ".headgate/young");
    await writeFile(old, "x");
    await writeFile(young, "x");
    const yesterday = new Date(Date.now() - 25 * 3600 * 1000);
    await utimes(old, yesterday, yesterday);
    const store = await openFileStore(root, parts);
    expect(await readdir(join(root, ".headgate"))).toEqual(["young"]);
    expect((await store.list("")).objects).toEqual([]);
  });

  test("works on after somebody removed a folder", async () => {
    const root = await emptyFolder();
    const store = await openFileStore(root, parts);
    await store.create("d/e/1", new Uint8Array(1));
    await rm(join(root, "d"), { recursive: true });
    const again = () => store.create("d/e/2", new Uint8Array(1));
    expect(await again().catch(again)).toBe("created");
  });

  test("that is not there any more says so, and takes nothing for absent", async () => {
    const root = join(await emptyFolder(), "mounted");
    const store = await openFileStore(root, parts);
    await store.create("a/b", new Uint8Array(1));
    await rename(root, `${root}-away`);
    const gone = { kind: "unavailable" };
    const works = [
      () => store.get("a/b"),
      () => store.head("a/c"),
      () => store.getRange("a/c", { offset: 0, length: 1 }),
      () => store.list(""),
      () => store.create("a/c", new Uint8Array(1)),
    ];
    for (const work of works) await expect(work()).rejects.toMatchObject(gone);
    await rm(root, { recursive: true, force: true });
    await rename(`${root}-away`, root);
    expect(await store.head("a/c")).toBeNull();
    expect(await store.create("a/c", new Uint8Array(1))).toBe("created");
  });

  test("says so when a folder and an object want the same name", async () => {
    const root = await emptyFolder();
    const store = await openFileStore(root, parts);
    await store.create("d/file", new Uint8Array(1));
    const kind = (run: Promise<unknown>) => run.then(() => "done", (error) => error.kind);
    expect(await kind(store.create("d", new Uint8Array(1)))).toBe("invalid");
    expect(await kind(store.create("d/file/below", new Uint8Array(1)))).toBe("invalid");
    expect(await store.head("d")).toBeNull();
  });

  test("learns the file system's time", async () => {
    const clock = { ...systemClock, nowMs: () => Date.now() - 3_600_000 };
    const store = await openFileStore(await emptyFolder(), { ...parts, clock });
    expect(Math.abs(store.clockOffsetMs() - 3_600_000)).toBeLessThan(5_000);
  });

  test("a directory that cannot be opened says which and why", async () => {
    const root = await emptyFolder();
    await writeFile(join(root, "file"), "x");
    const error = await openFileStore(join(root, "file/below"), parts).catch((e) => e);
    expect(error.message).toContain(`file://${root}/file/below`);
  });
});
