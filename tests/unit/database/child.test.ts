import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../../src/base/clock.ts";
import { createLog, silentLog } from "../../../src/base/log.ts";
import type { Child, Children } from "../../../src/database/child.ts";
import { createChildren } from "../../../src/database/child-process.ts";
import { processIdentity } from "../../../src/database/process-memory.ts";

const echo = join(import.meta.dir, "child-echo.ts");
const command = [process.execPath, echo];
const onLinux = process.platform === "linux";

let directory: string;
let children: Children;
let lines: string[];
let clock: ReturnType<typeof countingClock>;

/** Counts the timers that are set. */
function countingClock(): Clock & { timers: number } {
  const counting = {
    ...systemClock,
    timers: 0,
    after: (ms: number, callback: () => void) => {
      counting.timers++;
      return systemClock.after(ms, () => {
        counting.timers--;
        callback();
      });
    },
  };
  return counting;
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-child-"));
  lines = [];
  clock = countingClock();
  const log = createLog({
    level: "warn",
    format: "text",
    nowMs: Date.now,
    write: (line) => lines.push(line),
  });
  children = createChildren({ command, clock, log, directory });
});
afterEach(async () => {
  await children.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A child whose messages can be awaited, and how often its end was told. */
function start(): { child: Child; next: () => Promise<unknown>; exits: () => number } {
  const received: unknown[] = [];
  const waiting: ((message: unknown) => void)[] = [];
  let exits = 0;
  const child = children.start("reader", {
    onMessage: (message) => {
      const first = waiting.shift();
      if (first) first(message);
      else received.push(message);
    },
    onExit: () => void exits++,
  });
  const next = () =>
    received.length > 0
      ? Promise.resolve(received.shift())
      : new Promise<unknown>((resolve) => waiting.push(resolve));
  return { child, next, exits: () => exits };
}

test("messages go both ways in order, none lost while the child starts", async () => {
  const { child, next, exits } = start();
  child.send({ do: "echo", text: "ü\n\u2028" });
  child.send({ do: "many" });
  expect(await next()).toMatchObject({ do: "echo", text: "ü\n\u2028", role: "reader" });
  for (let i = 0; i < 1_000; i++) expect(await next()).toBe(i);
  child.send({ do: "exit" });
  await child.exited;
  expect(exits()).toBe(1);
  child.send({ do: "echo" });
  child.kill();
});

test("a child has none of its parent's environment, and its words go to the log", async () => {
  const { child, next } = start();
  child.send({ do: "say" });
  child.send({ do: "echo" });
  expect(await next()).toMatchObject({ environment: { TZ: "UTC" } });
  child.kill();
  await child.exited;
  expect(lines).toHaveLength(2);
  expect(lines[1]).toContain(`another child=reader pid=${child.pid}`);
});

test("a child leaves signals to its parent", async () => {
  const { child, next, exits } = start();
  child.send({ do: "echo" });
  await next();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(child.pid, signal);
  child.send({ do: "echo" });
  await next();
  expect(exits()).toBe(0);
});

test("a kill ends a child that hangs in SQLite", async () => {
  const { child, next, exits } = start();
  child.send({ do: "hang" });
  expect(await next()).toBe("hanging");
  const from = performance.now();
  let ended = false;
  child.exited.then(() => void (ended = true));
  child.kill();
  while (!ended) {
    // Whoever does not know yet that it is dead may send to it.
    for (let i = 0; i < 100; i++) child.send({ do: "echo" });
    await systemClock.turn();
  }
  expect(exits()).toBe(1);
  expect(() => child.send({ do: "echo" })).not.toThrow();
  expect(performance.now() - from).toBeLessThan(1_000);
});

test("memory that a child takes is seen, and nobody looks while no child works", async () => {
  const { child, next } = start();
  child.send({ do: "take", bytes: 200_000_000 });
  expect(await next()).toBe("taken");
  await until(() => child.residentBytes() > 190_000_000);
  expect(child.residentBytes()).toBeLessThan(400_000_000);
  await until(() => clock.timers === 0);
  child.send({ do: "hang" });
  await next();
  // A child that works without a word is still looked at.
  for (let i = 0; i < 13; i++) {
    await systemClock.sleep(100);
    expect(clock.timers).toBe(1);
  }
});

test.skipIf(!onLinux)(
  "a child dies with its parent even while it hangs in SQLite (needs Linux)",
  async () => {
    for (const order of ["hang", "echo"]) {
      const parent = Bun.spawn([...command, "parent", join(directory, order), order], {
        stdout: "pipe",
      });
      const { value } = await parent.stdout.getReader().read();
      const pid = Number(new TextDecoder().decode(value));
      expect(processIdentity(pid)?.command).toContain("__child");
      parent.kill("SIGKILL");
      await until(() => processIdentity(pid) === null || isZombie(pid));
    }
  },
);

test.skipIf(!onLinux)("the kernel takes a child before its parent (needs Linux)", async () => {
  const { child, next } = start();
  child.send({ do: "echo" });
  await next();
  expect(readFileSync(`/proc/${child.pid}/oom_score_adj`, "utf8").trim()).toBe("800");
});

test("the next start ends children that were left, and nobody who only has their number", async () => {
  const { child } = start();
  const bystander = Bun.spawn([process.execPath, "-e", "await Bun.sleep(60_000)"]);
  const file = join(directory, `${child.pid}.child`);
  const startedAt = readFileSync(file, "utf8");

  const other = mkdtempSync(join(tmpdir(), "headgate-child-"));
  const begin = () => createChildren({ command, clock, log: silentLog, directory: other });
  writeFileSync(join(other, `${bystander.pid}.child`), processIdentity(bystander.pid)!.startedAt);
  writeFileSync(join(other, `${child.pid}.child`), `${Number(startedAt) + 1}`);
  writeFileSync(join(other, "1.child"), "0");
  writeFileSync(join(other, "x.child"), "0");
  begin();
  expect(readdirSync(other)).toEqual([]);
  await systemClock.sleep(50);
  expect(bystander.exitCode ?? bystander.signalCode).toBe(null);
  expect(processIdentity(child.pid)).not.toBe(null);

  writeFileSync(join(other, `${child.pid}.child`), startedAt);
  begin();
  await child.exited;
  expect(readdirSync(directory)).toEqual([]);
  bystander.kill("SIGKILL");
  rmSync(other, { recursive: true });
});

test("closing ends all children, and no further one begins", async () => {
  const { child, exits } = start();
  await children.close();
  expect(exits()).toBe(1);
  expect(() => start()).toThrow("closing");
  expect(processIdentity(child.pid)).toBe(null);
});

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error("it did not happen within 5 s");
    await systemClock.sleep(5);
  }
}

/** It has ended, and nobody has taken note yet: its new parent is not ours. */
function isZombie(pid: number): boolean {
  return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.startsWith("Z") ?? false;
}

test("a child that was started in advance is taken by the next start of its role, and no other", async () => {
  children.warm("reader", 2);
  children.warm("reader", 2);
  const spares = readdirSync(directory).length;
  const first = start();
  const second = start();
  expect([spares, readdirSync(directory).length]).toEqual([2, 2]);
  expect(first.child.pid).not.toBe(second.child.pid);
  first.child.send({ do: "echo", text: "1" });
  expect(await first.next()).toMatchObject({ text: "1", role: "reader" });
  const third = start();
  expect(readdirSync(directory).length).toBe(3);
  third.child.kill();
  await third.child.exited;
  expect(third.exits()).toBe(1);
});

test("a child in advance that is wished for again is kept for longer, and no second one started", async () => {
  const due: (() => void)[] = [];
  const manual: Clock = {
    ...systemClock,
    after: (ms, callback) => {
      // What watches the memory of children looks much more often.
      if (ms < 5_000) return systemClock.after(ms, callback);
      due.push(callback);
      return () => void due.splice(due.indexOf(callback), 1);
    },
  };
  const log = silentLog;
  const kept = createChildren({ command, clock: manual, log, directory });
  kept.warm("reader", 1);
  const [first] = due;
  kept.warm("reader", 1);
  expect([due.length, due[0] === first]).toEqual([1, false]);
  due[0]?.();
  await until(() => readdirSync(directory).length === 0);
  await kept.close();
});
