import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withDeadline } from "../../../src/base/deadline.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { crashPoints } from "../../../src/server/crash-point.ts";
import { takeIdentity } from "../../../src/server/identity.ts";
import { lockExisting, lockFile } from "../../../src/server/lock.ts";
import { openMemoryFolder } from "../../../src/server/memory-folder.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

let directory: string;
beforeEach(() => directory = mkdtempSync(join(tmpdir(), "headgate-server-")));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("a lock on a file", () => {
  test("is held by one at a time, and is free when released", () => {
    const path = join(directory, "lock");
    const first = lockFile(path);
    expect(first).not.toBeNull();
    expect(lockFile(path)).toBeNull();
    first?.release();
    const second = lockFile(path);
    expect(second).not.toBeNull();
    second?.release();
  });

  test("of a file that is not there can be asked for without making it", () => {
    const path = join(directory, "lock");
    expect(() => lockExisting(path)).toThrow("ENOENT");
    expect(existsSync(path)).toBe(false);
  });
});

describe("a node's identity", () => {
  const path = () => join(directory, "deep", "node_id");
  const random = seededRandom(3);

  test("outlives the process; its nonce does not", () => {
    const first = takeIdentity(path(), random);
    first.lock.release();
    const second = takeIdentity(path(), random);
    second.lock.release();
    expect(first.id).toMatch(/^node-[0-9a-f]{12}$/);
    expect(second.id).toBe(first.id);
    expect(second.nonce).not.toBe(first.nonce);
    expect(second.nonce).toMatch(/^[0-9a-f]{32}$/);
  });

  test("may be chosen by an operator", () => {
    writeFileSync(join(directory, "id"), "  left-1 \n");
    const taken = takeIdentity(join(directory, "id"), random);
    expect(taken.id).toBe("left-1");
    taken.lock.release();
  });

  test("is one process's: a second one with the same file is told so", () => {
    const first = takeIdentity(path(), random);
    expect(() => takeIdentity(path(), random)).toThrow(
      expect.objectContaining({ kind: "conflict" }),
    );
    first.lock.release();
  });

  test("a file with something else in it is refused, and stays unlocked", () => {
    const file = join(directory, "id");
    writeFileSync(file, "Not A Name\n");
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(() => takeIdentity(file, random)).toThrow(
        expect.objectContaining({ kind: "invalid" }),
      );
    }
  });

  test("a file that a crash left empty gets an id", () => {
    const file = join(directory, "id");
    writeFileSync(file, "");
    const taken = takeIdentity(file, random);
    expect(taken.id).toMatch(/^node-/);
    taken.lock.release();
  });
});

describe("the folder in memory", () => {
  test("is empty at the start, gives names once, and goes at the end", () => {
    const left = join(directory, "headgate-n1");
    mkdirSync(left);
    writeFileSync(join(left, "image-of-before"), "x");
    const folder = openMemoryFolder(directory, "n1", silentLog);
    expect(readdirSync(folder.path)).toEqual(["lock"]);
    const names = [1, 2, 3].map(() => folder.temporary("image"));
    expect(new Set(names).size).toBe(3);
    folder.remove();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("of a process that lives is left alone, that of a dead one is removed", () => {
    const living = openMemoryFolder(directory, "n1", silentLog);
    const dead = join(directory, "headgate-n2");
    mkdirSync(dead);
    writeFileSync(join(dead, "lock"), "");
    mkdirSync(join(directory, "somebody-elses"));
    const own = openMemoryFolder(directory, "n3", silentLog);
    expect(readdirSync(directory).sort())
      .toEqual(["headgate-n1", "headgate-n3", "somebody-elses"]);
    expect(() => openMemoryFolder(directory, "n1", silentLog)).toThrow(
      expect.objectContaining({ kind: "conflict" }),
    );
    living.remove();
    own.remove();
  });
});

describe("a deadline", () => {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);

  test("ends the waiting, not the work, and says that nothing was done", async () => {
    const work = Promise.withResolvers<number>();
    const waiting = withDeadline(clock, clock.monotonicMs() + 50, work.promise, "open orders");
    const failure = waiting.catch((error) => error);
    timeline.step();
    expect(await failure).toMatchObject({
      kind: "unavailable",
      message: "Cannot open orders before the deadline; nothing was done",
    });
    work.resolve(1);
    expect(await work.promise).toBe(1);
  });

  test("leaves no timer behind when the work is done or fails before", async () => {
    const deadlineMs = clock.monotonicMs() + 50;
    expect(await withDeadline(clock, deadlineMs, Promise.resolve(3), "read")).toBe(3);
    await expect(withDeadline(clock, deadlineMs, Promise.reject(new Error("no")), "read"))
      .rejects.toThrow("no");
    expect(timeline.step()).toBe(false);
  });
});

describe("a crash point", () => {
  const place = new URL("../../../src/server/crash-point.ts", import.meta.url).pathname;

  /** How a process ends that passes these places. */
  async function passing(at: string | undefined, places: readonly string[]) {
    const code = `const { crashPoints } = await import(${JSON.stringify(place)});
      const at = crashPoints(${JSON.stringify({ HEADGATE_CRASH_AT: at })});
      for (const name of ${JSON.stringify(places)}) at(name);`;
    const child = Bun.spawn([process.execPath, "-e", code], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    await child.exited;
    return child.signalCode ?? child.exitCode;
  }

  test("kills the process at its place, or at the Nth passing, and nowhere else", async () => {
    expect(
      await Promise.all([
        passing("b", ["a", "b"]),
        passing("a@3", ["a", "a", "a"]),
        passing("a@3", ["a", "b", "a"]),
        passing(undefined, ["a"]),
      ]),
    ).toEqual(["SIGKILL", "SIGKILL", 0, 0]);
  });

  test("is nothing where nobody asks for one", () => {
    crashPoints({})("owner.after_append");
  });
});
