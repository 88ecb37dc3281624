import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { Children } from "../../../src/database/child.ts";
import { createChildren } from "../../../src/database/child-process.ts";
import { encodeFile } from "../../../src/database/encode-file.ts";
import { createImage } from "../../../src/database/image-builder.ts";
import { decodeEpoch } from "../../../src/epoch/decode.ts";
import type { EpochHeader } from "../../../src/epoch/epoch.ts";
import { ChainOfPages } from "./chain-of-pages.ts";

const parts = { clock: systemClock, log: silentLog };
let directory: string;
let children: Children;
let chain: ChainOfPages;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-encoder-"));
  chain = new ChainOfPages(join(directory, "source.db"), 1024);
  children = createChildren({
    command: [process.execPath, join(import.meta.dir, "../../../main.ts")],
    ...parts,
    directory: join(directory, "children"),
  });
});
afterEach(async () => {
  await children.close();
  chain.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The database of the chain's last epoch as a file, and the header of its snapshot. */
async function file(name: string): Promise<{ source: string; header: EpochHeader }> {
  const source = join(directory, name);
  const builder = await createImage({ ...parts, path: source, pageSize: chain.pageSize });
  await builder.write(chain.pages(), chain.head.commit);
  await builder.finishFile(chain.head);
  const header = {
    ...chain.last.header,
    minEpoch: 1,
    nodeId: 2n ** 64n - 3n,
    link: chain.last.fileChecksum,
    kind: "claim" as const,
  };
  return { source, header };
}

test("a file becomes an object that decodes to the same database", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.next();
  for (let i = 0; i < 50; i++) {
    chain.database.run("INSERT INTO t(name) VALUES (hex(randomblob(900)))");
  }
  chain.next();
  const { source, header } = await file("file.db");
  const target = join(directory, "snapshot.ltx");
  const encoded = await encodeFile(children, { source, target, header });
  const bytes = readFileSync(target);
  expect(encoded).toMatchObject({ path: target, size: bytes.length });
  const decoded = decodeEpoch(bytes, "snapshot");
  expect(decoded.header).toEqual(header);
  expect(decoded.fileChecksum).toBe(encoded.fileChecksum);

  const path = join(directory, "again.db");
  const builder = await createImage({ ...parts, path, pageSize: chain.pageSize });
  await builder.write(decoded.pages, decoded.header.commit);
  await builder.finishFile(chain.head);
  expect(readFileSync(path).equals(readFileSync(source))).toBe(true);
  const database = new Database(path, { readonly: true });
  expect(database.query("SELECT count(*) AS n FROM t").get()).toEqual({ n: 50 });
  database.close();
});

test("a file that is not the header's database is corrupt, and no object stays [I6]", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.next();
  const { source, header } = await file("file.db");
  const target = join(directory, "snapshot.ltx");
  const wrong = { ...header, databaseChecksum: header.databaseChecksum + 1n };
  expect(await failure(encodeFile(children, { source, target, header: wrong }))).toMatch(
    /^corrupt: .*checksum/,
  );
  expect(existsSync(target)).toBe(false);
  truncateSync(source, chain.pageSize);
  expect(await failure(encodeFile(children, { source, target, header }))).toMatch(
    /^corrupt: .*1024 bytes, not 2 pages/,
  );
  expect(existsSync(target)).toBe(false);
});

test("an encoder that is killed is unavailable, not a wait without end", async () => {
  chain.database.run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
  chain.next();
  const { source, header } = await file("file.db");
  const outcome = failure(
    encodeFile(children, { source, target: join(directory, "snapshot.ltx"), header }),
  );
  await children.close();
  expect(await outcome).toMatch(/^unavailable: .*has ended/);
});

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    const { kind, message } = error as Error & { kind: string };
    return `${kind}: ${message}`;
  }
  return "it succeeded";
}
