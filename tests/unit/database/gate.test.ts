import { expect, test } from "bun:test";
import fc from "fast-check";
import { Gate } from "../../../src/database/gate.ts";

const limits = { gateMs: 20, conflictMs: 5_000 };
const nothing = { cancel: [], begin: [], write: false };

test("reads pass while no epoch waits, and an epoch goes in at once while no read is there", () => {
  const gate = new Gate<string>(limits);
  expect(gate.enter("a")).toBe(true);
  expect(gate.enter("b")).toBe(true);
  expect(gate.leave("a", 0)).toEqual(nothing);
  expect(gate.leave("b", 0)).toEqual(nothing);
  expect(gate.epochWaits(1, 1)).toEqual({ ...nothing, write: true });
  expect(gate.enter("c")).toBe(false);
  expect(gate.written()).toEqual({ ...nothing, begin: ["c"] });
  expect(gate.state).toBe("open");
});

test("an epoch goes in when the last read in its way ends; later reads queue meanwhile", () => {
  const gate = new Gate<string>(limits);
  gate.enter("a");
  gate.enter("b");
  expect(gate.epochWaits(0, 0)).toEqual(nothing);
  expect(gate.enter("c")).toBe(false);
  expect(gate.leave("a", 5)).toEqual(nothing);
  expect(gate.leave("b", 6)).toEqual({ ...nothing, write: true });
  expect(gate.written()).toEqual({ ...nothing, begin: ["c"] });
});

test("new reads queue for at most the gate's time, once for each set of reads in the way", () => {
  const gate = new Gate<string>(limits);
  gate.enter("slow");
  gate.epochWaits(0, 0);
  gate.enter("queued");
  expect(gate.dueMs()).toBe(20);
  expect(gate.tick(19)).toEqual(nothing);
  expect(gate.tick(20)).toEqual({ ...nothing, begin: ["queued"] });
  expect(gate.enter("later")).toBe(true);
  expect(gate.leave("queued", 25)).toEqual(nothing);
  expect(gate.enter("later still")).toBe(true);
  // The last of the first set ends: the gate closes again, for those that are there now.
  expect(gate.leave("slow", 30)).toEqual(nothing);
  expect(gate.state).toBe("closing");
  expect(gate.enter("waits")).toBe(false);
  expect(gate.leave("later", 31)).toEqual(nothing);
  expect(gate.leave("later still", 32)).toEqual({ ...nothing, write: true });
});

test("when the oldest epoch has waited the conflict time, every read in the way is cancelled", () => {
  const gate = new Gate<string>(limits);
  gate.enter("slow");
  gate.epochWaits(100, 100);
  gate.tick(120);
  gate.enter("other");
  expect(gate.dueMs()).toBe(5_100);
  expect(gate.tick(5_100)).toEqual({ ...nothing, cancel: ["slow", "other"] });
  expect(gate.enter("next")).toBe(false);
  expect(gate.leave("slow", 5_101)).toEqual(nothing);
  expect(gate.leave("other", 5_102)).toEqual({ ...nothing, write: true });
  expect(gate.written()).toEqual({ ...nothing, begin: ["next"] });
});

test("a closed gate cancels who is in and who queues, and lets a waiting writer through", () => {
  const gate = new Gate<string>(limits);
  gate.enter("a");
  gate.epochWaits(0, 0);
  gate.enter("b");
  expect(gate.close()).toEqual({ cancel: ["a", "b"], begin: [], write: true });
  expect(gate.enter("c")).toBe(false);
  expect(gate.leave("a", 1)).toEqual(nothing);
  expect(gate.written()).toEqual(nothing);
});

type Move = {
  readonly kind: "enter" | "leave" | "epoch" | "written" | "pass";
  readonly by: number;
};

test("whatever happens: never a read beside a writer, and no epoch waits beyond the conflict time", () => {
  const move: fc.Arbitrary<Move> = fc.record({
    kind: fc.constantFrom("enter", "enter", "leave", "epoch", "written", "pass"),
    by: fc.nat(40),
  });
  fc.assert(fc.property(fc.array(move, { maxLength: 120 }), (moves) => {
    const world = new World();
    for (const next of moves) world.move(next);
    world.finish();
  }));
});

/** Obeys the gate, and checks at every step what it promises. */
class World {
  readonly #gate = new Gate<number>({ gateMs: 20, conflictMs: 100 });
  readonly #inside = new Set<number>();
  readonly #queuedSinceMs = new Map<number, number>();
  #nowMs = 0;
  #next = 0;
  #waitsSinceMs: number | null = null;
  #writing = false;

  move({ kind, by }: Move): void {
    if (kind === "enter") {
      const read = this.#next++;
      if (this.#gate.enter(read)) this.#begin(read);
      else this.#queuedSinceMs.set(read, this.#nowMs);
    } else if (kind === "leave") {
      const all = [...this.#inside, ...this.#queuedSinceMs.keys()];
      const read = all[by % Math.max(1, all.length)];
      if (read !== undefined) this.#leave(read);
    } else if (kind === "epoch") {
      if (this.#waitsSinceMs !== null || this.#writing) return;
      this.#waitsSinceMs = this.#nowMs;
      this.#obey(this.#gate.epochWaits(this.#nowMs, this.#nowMs));
    } else if (kind === "written") {
      if (!this.#writing) return;
      this.#writing = false;
      this.#obey(this.#gate.written());
      expect(this.#queuedSinceMs.size).toBe(0);
    } else this.#pass(by);
  }

  finish(): void {
    this.#pass(200);
    this.move({ kind: "written", by: 0 });
    expect(this.#waitsSinceMs).toBe(null);
    for (const read of [...this.#inside]) this.#leave(read);
    expect(this.#gate.reads).toBe(0);
    expect(this.#gate.queued).toBe(0);
    expect(this.#gate.state).toBe("open");
  }

  #pass(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let dueMs = this.#gate.dueMs(); dueMs !== null && dueMs <= untilMs;) {
      expect(dueMs).toBeGreaterThanOrEqual(this.#nowMs);
      this.#nowMs = Math.max(this.#nowMs, dueMs);
      this.#obey(this.#gate.tick(this.#nowMs));
      dueMs = this.#gate.dueMs();
    }
    this.#nowMs = untilMs;
    if (this.#waitsSinceMs !== null) expect(this.#nowMs - this.#waitsSinceMs).toBeLessThan(101);
  }

  #begin(read: number): void {
    expect(this.#writing).toBe(false);
    this.#queuedSinceMs.delete(read);
    this.#inside.add(read);
  }

  #leave(read: number): void {
    this.#inside.delete(read);
    this.#queuedSinceMs.delete(read);
    this.#obey(this.#gate.leave(read, this.#nowMs));
  }

  #obey(orders: ReturnType<Gate<number>["tick"]>): void {
    for (const read of orders.begin) this.#begin(read);
    if (orders.write) {
      expect(this.#inside.size).toBe(0);
      this.#writing = true;
      this.#waitsSinceMs = null;
    }
    // A cancelled read ends at once here.
    for (const read of orders.cancel) this.#leave(read);
  }
}
