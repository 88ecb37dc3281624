import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { LakeFiles } from "../../../src/lake/lake-files.ts";
import { MemoryStore } from "../../../src/store/memory.ts";

let folder: string;
let store: MemoryStore;
let files: LakeFiles;
let gets: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "headgate-lake-files-"));
  store = new MemoryStore(systemClock);
  gets = [];
  const get = store.get.bind(store);
  store.get = (key, options) => {
    gets.push(key);
    return get(key, options);
  };
  files = new LakeFiles({
    ...{ store, clock: systemClock, random: seededRandom(1), log: silentLog },
    folder: join(folder, "copies"),
    cacheBytesMax: 25,
  });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function put(name: string, bytes = 10): Promise<void> {
  await store.create(`lakes/web/${name}`, new Uint8Array(bytes).fill(7));
}
const open = (path: string, bytes: number | null = 10) => files.open("web", { path, bytes });
const kindOf = (work: Promise<unknown>) => work.then(() => null, (error) => error.kind);

describe("a copy", () => {
  test("is fetched once for all who read it at the same time and later", async () => {
    await put("a");
    const copies = await Promise.all([open("a"), open("a"), open("a")]);
    for (const copy of copies) copy.done();
    const { path } = await open("a");
    expect(gets).toEqual(["lakes/web/a"]);
    expect(readFileSync(path)).toEqual(Buffer.alloc(10, 7));
  });

  test("that nobody reads makes room, the one that was used longest ago first", async () => {
    for (const name of ["a", "b", "c"]) await put(name);
    const [a, b] = [await open("a"), await open("b")];
    a.done();
    b.done();
    (await open("a")).done();
    const c = await open("c");
    expect([a, b, c].map(({ path }) => existsSync(path))).toEqual([true, false, true]);
  });

  test("that is read stays, over the limit too, and goes when all have done", async () => {
    for (const name of ["a", "b", "c", "d"]) await put(name);
    const held = await Promise.all(["a", "b", "c", "d"].map((name) => open(name)));
    expect(held.map(({ path }) => existsSync(path))).toEqual([true, true, true, true]);
    for (const name of ["a", "b", "c", "d"]) held.push(await open(name));
    expect(gets.length).toBe(4);
    for (const { done } of held) {
      done();
      done();
    }
    const paths = held.slice(0, 4).map(({ path }) => path);
    // They are removed behind everybody's back.
    while (paths.filter((path) => existsSync(path)).length > 2) await systemClock.turn();
    expect(paths.map((path) => existsSync(path))).toEqual([false, false, true, true]);
  });

  test("of an object that is not there, or of another length, is corrupt, and asked for anew", async () => {
    await put("short", 9);
    for (const name of ["short", "nothing"]) {
      const both = [open(name), open(name)].map(kindOf);
      expect(await Promise.all(both)).toEqual(["corrupt", "corrupt"]);
    }
    await put("nothing");
    const { path } = await open("nothing");
    expect(existsSync(path)).toBe(true);
    expect(gets).toEqual(["lakes/web/short", "lakes/web/nothing", "lakes/web/nothing"]);
  });

  test("that could not be made does not count", async () => {
    await put("a");
    await put("b");
    for (let attempt = 0; attempt < 5; attempt++) await kindOf(open("nothing"));
    const [a] = [await open("a"), await open("b")];
    a.done();
    expect(existsSync(a.path)).toBe(true);
  });
});

describe("a file", () => {
  const local = (bytes: number) => {
    const path = join(folder, "local");
    writeFileSync(path, Buffer.alloc(bytes, 3));
    return { path, bytes };
  };

  test("is stored below its lake, once", async () => {
    const { path, bytes } = local(5);
    const file = { name: "data/x.parquet", path, bytes };
    await files.upload("web", file, systemClock.monotonicMs() + 10_000);
    expect((await store.get("lakes/web/data/x.parquet"))?.bytes.length).toBe(5);
  });

  test("whose name another object has is corrupt, and changes nothing", async () => {
    await put("data/x.parquet", 10);
    const { path, bytes } = local(5);
    const file = { name: "data/x.parquet", path, bytes };
    const stored = files.upload("web", file, systemClock.monotonicMs() + 10_000);
    expect(await kindOf(stored)).toBe("corrupt");
    expect((await store.get("lakes/web/data/x.parquet"))?.bytes.length).toBe(10);
  });
});

test("the path of a lake's data is one that DuckLake reads", () => {
  const at = (name: string) => {
    const named = new MemoryStore(systemClock, name);
    return new LakeFiles({
      ...{ store: named, clock: systemClock, random: seededRandom(1), log: silentLog },
      folder,
    }).dataPath("web");
  };
  expect(at("file:///srv/store")).toBe("/srv/store/lakes/web/");
  expect(at("s3://bucket/prefix/")).toBe("s3://bucket/prefix/lakes/web/");
});
