/** What a standby opens and reads before it claims, and what it must not use any more. */
import { describe, expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { DATABASES_PREPARED_MAX, WORKSPACE_PREPARED_MS } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { Image } from "../../../src/database/image.ts";
import type { Workspace } from "../../../src/database/workspace.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import { Preparation } from "../../../src/server/preparation.ts";
import { PreparedWorkspaces } from "../../../src/server/prepared-workspaces.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

describe("a workspace that was prepared", () => {
  test("is the one that a claim gets, once", async () => {
    const { workspaces, opened, image } = world();
    workspaces.prepare("orders", image, 4096);
    workspaces.prepare("orders", image, 4096);
    expect(opened.length).toBe(1);
    expect<unknown>(await workspaces.open("orders", image, 4096)).toBe(opened[0]);
    expect<unknown>(await workspaces.open("orders", image, 4096)).toBe(opened[1]);
    expect(opened.map(({ isClosed }) => isClosed)).toEqual([false, false]);
  });

  test("is not used over an image that has moved or was replaced [I2, I6]", async () => {
    const { workspaces, opened, image, move } = world();
    workspaces.prepare("orders", image, 4096);
    move(8);
    expect<unknown>(await workspaces.open("orders", image, 4096)).toBe(opened[1]);
    expect(opened[0]?.isClosed).toBe(true);
    workspaces.prepare("orders", image, 4096);
    const other = { head: { epoch: 8 } } as unknown as Image;
    expect<unknown>(await workspaces.open("orders", other, 4096)).toBe(opened[3]);
  });

  test("is not used when the image moves while it is waited for [I2]", async () => {
    const { workspaces, opened, image, move } = world();
    workspaces.prepare("orders", image, 4096);
    const opening = workspaces.open("orders", image, 4096);
    move(8);
    expect<unknown>(await opening).toBe(opened[1]);
    expect(opened[0]?.isClosed).toBe(true);
  });

  test("is closed when nobody asks for it in time", () => {
    const { workspaces, opened, image, until } = world();
    workspaces.prepare("orders", image, 4096);
    until(WORKSPACE_PREPARED_MS + 1);
    expect(opened[0]?.isClosed).toBe(true);
  });
});

describe("a standby", () => {
  test("that lost the leader reads what it left of what moved last, then prepares", () => {
    const { preparation, done } = standby(["system", "a", "b"]);
    preparation.heard("a");
    preparation.heard("b");
    preparation.heard("nobody-has-it");
    preparation.lost();
    drainMicrotasks();
    expect(done).toEqual(["prepare system", "read a", "read b", "prepare a", "prepare b"]);
    expect(preparation.wish(3)).toEqual({ over: 3, currentSinceMs: 0 });
    preparation.over();
    expect(preparation.wish(3)).toEqual({ over: 3 });
  });

  test("that was handed the lead needs to read nothing", () => {
    const { preparation, done } = standby(["system", "a"]);
    preparation.heard("a");
    preparation.resigned(7, true);
    drainMicrotasks();
    expect(done).toEqual(["prepare system", "prepare a"]);
    expect(preparation.wish(undefined)).toEqual({ resigned: 7, currentSinceMs: -Infinity });
  });

  test("that was handed the lead still was when the link of the last leader ends", () => {
    const { preparation, done } = standby(["system", "a"]);
    preparation.heard("a");
    preparation.resigned(7, true);
    drainMicrotasks();
    done.length = 0;
    preparation.lost();
    drainMicrotasks();
    expect(done).toEqual([]);
    expect(preparation.wish(undefined)).toEqual({ resigned: 7, currentSinceMs: -Infinity });
    expect([...preparation.claimedAhead]).toEqual(["a"]);
  });

  test("claims ahead what moved last after a resignation, and in no other case", () => {
    const { preparation } = standby(["system", "a"]);
    preparation.heard("a");
    preparation.lost();
    expect([...preparation.claimedAhead]).toEqual([]);
    preparation.resigned(7, true);
    expect([...preparation.claimedAhead]).toEqual(["a"]);
    preparation.over();
    expect([...preparation.claimedAhead]).toEqual([]);
  });

  test("opens what the leader sends last as soon as it is there, once that is about to resign", () => {
    const { preparation, done, pass } = standby(["system", "a"]);
    preparation.heard("a");
    preparation.soon();
    preparation.heard("a");
    preparation.heard("system");
    preparation.heard("a");
    drainMicrotasks();
    expect(done).toEqual(["read a to 7", "prepare a"]);
    pass(1_001);
    preparation.heard("a");
    drainMicrotasks();
    expect(done.length).toBe(2);
    preparation.soon();
    preparation.over();
    preparation.heard("a");
    drainMicrotasks();
    expect(done.length).toBe(2);
  });

  test("that another was preferred to prepares nothing, until somebody leads", () => {
    const { preparation, done } = standby(["system", "a"]);
    preparation.heard("a");
    preparation.resigned(7, false);
    preparation.lost();
    drainMicrotasks();
    expect([done, preparation.wish(3), [...preparation.claimedAhead]]).toEqual([
      [],
      { over: 3 },
      [],
    ]);
    preparation.over();
    preparation.lost();
    drainMicrotasks();
    expect(done).toEqual(["prepare system", "read a", "prepare a"]);
  });

  test("that would not be the first to claim prepares for system only", () => {
    const { preparation, done } = standby(["system", "a"], false);
    preparation.heard("a");
    preparation.lost();
    drainMicrotasks();
    expect(done).toEqual(["prepare system"]);
  });

  test("prepares for a few databases only", () => {
    const names = Array.from({ length: 20 }, (_, index) => `d${index}`);
    const { preparation, done } = standby(["system", ...names]);
    for (const name of names) preparation.heard(name);
    preparation.resigned(7, true);
    drainMicrotasks();
    const last = names.slice(-DATABASES_PREPARED_MAX).map((name) => `prepare ${name}`);
    expect(done).toEqual(["prepare system", ...last]);
  });
});

function world() {
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const opened: { isClosed: boolean }[] = [];
  const image = { head: { epoch: 7 } };
  const workspaces = new PreparedWorkspaces(clock, silentLog, () => {
    const workspace = {
      isClosed: false,
      close() {
        this.isClosed = true;
        return Promise.resolve();
      },
    };
    opened.push(workspace);
    return Promise.resolve(workspace as unknown as Workspace);
  });
  const until = (ms: number) => {
    clock.after(ms, () => {});
    while (timeline.nowMs < ms && timeline.step()) drainMicrotasks();
  };
  const move = (epoch: number) => void (image.head = { epoch });
  return { workspaces, opened, image: image as unknown as Image, move, until };
}

function standby(names: readonly string[], isFirst = true) {
  const done: string[] = [];
  const warmed: number[] = [];
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const replicas = new Map(names.map((name) => [name, {
    name,
    state: "following",
    dropped: false,
    tip: 7,
    image: {
      reached: (epoch: number) => {
        done.push(`read ${name} to ${epoch}`);
        return Promise.resolve();
      },
    },
    follow: () => {
      done.push(`read ${name}`);
      return Promise.resolve(false);
    },
  }]));
  const preparation = new Preparation({
    clock,
    log: silentLog,
    replica: (name) => replicas.get(name) as unknown as Replica,
    prepare: ({ name }) => void done.push(`prepare ${name}`),
    warm: (count) => void warmed.push(count),
    isFirst: () => isFirst,
  });
  const pass = (ms: number) => {
    clock.after(ms, () => {});
    timeline.step();
  };
  return { preparation, done, warmed, pass };
}

describe("processes for what a standby is about to own", () => {
  test("are started when it is named: for system and a few databases", () => {
    const { preparation, warmed } = standby(["system", "a", "b"], false);
    preparation.soon();
    for (const name of ["a", "b", "a"]) preparation.heard(name);
    preparation.soon();
    for (let n = 0; n < 9; n++) preparation.heard(`d${n}`);
    preparation.soon();
    expect(warmed).toEqual([1, 3, 4]);
  });

  test("are kept ready by the first in line while there are writes", () => {
    const { preparation, warmed, pass } = standby(["system", "a"]);
    for (let ms = 0; ms <= 10_000; ms += 100) {
      preparation.heard("a");
      pass(100);
    }
    expect(warmed).toEqual([2, 2, 2]);
  });

  test("are not started in the moment in which somebody begins to lead", () => {
    const { preparation, warmed, pass } = standby(["system", "a"]);
    preparation.over();
    preparation.heard("a");
    expect(warmed).toEqual([]);
    pass(501);
    preparation.heard("a");
    expect(warmed).toEqual([2]);
  });
});
