import { describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { Metrics } from "../../../src/base/metrics.ts";
import { delayed } from "../../../src/store/delay.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import { metered, READ_USD, WRITE_USD } from "../../../src/store/meter.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const MINUTE_MS = 60_000;

function meteredMemory() {
  let nowMs = 1_000_000_000;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const metrics = new Metrics();
  const memory = new MemoryStore(systemClock);
  const store = metered(memory, metrics, clock);
  return { store, memory, metrics, pass: (ms: number) => void (nowMs += ms) };
}

describe("the meter", () => {
  test("counts requests by outcome and bytes by direction", async () => {
    const { store, metrics } = meteredMemory();
    await store.create("a", bytes("12345"));
    await store.create("a", bytes("12345"));
    await store.get("a");
    await store.get("none");
    await store.getRange("a", { offset: 1, length: 2 });
    await store.head("a");
    await store.replace("a", bytes("x"), "wrong");
    await store.list("");
    await store.remove(["a"]);
    await store.get("../a").catch(() => {});
    const text = metrics.text();
    for (
      const line of [
        'headgate_store_requests_total{operation="create",outcome="ok"} 1',
        'headgate_store_requests_total{operation="create",outcome="exists"} 1',
        'headgate_store_requests_total{operation="get",outcome="ok"} 1',
        'headgate_store_requests_total{operation="get",outcome="missing"} 1',
        'headgate_store_requests_total{operation="get",outcome="invalid"} 1',
        'headgate_store_requests_total{operation="get_range",outcome="ok"} 1',
        'headgate_store_requests_total{operation="replace",outcome="changed"} 1',
        'headgate_store_requests_total{operation="list",outcome="ok"} 1',
        'headgate_store_requests_total{operation="remove",outcome="ok"} 1',
        'headgate_store_bytes_total{operation="create",direction="sent"} 10',
        'headgate_store_bytes_total{operation="get",direction="received"} 5',
        'headgate_store_bytes_total{operation="get_range",direction="received"} 2',
        'headgate_store_seconds_count{operation="get"} 3',
      ]
    ) expect(text).toContain(`${line}\n`);
    expect(store.counts().get).toEqual({
      requests: 3,
      failures: 1,
      bytesSent: 0,
      bytesReceived: 5,
    });
    expect(store.counts().create.requests).toBe(2);
  });

  test("prices an hour of requests as a month of them", async () => {
    const { store, pass } = meteredMemory();
    // A heartbeat of one PUT and one GET a minute for three hours.
    for (let minute = 0; minute < 180; minute++) {
      await store.replace("leader", bytes(`${minute}`), null);
      await store.head("leader");
      await store.remove(["none"]);
      pass(MINUTE_MS);
    }
    const { perMonthUsd, totalUsd, periodMs } = store.price();
    expect(periodMs).toBeLessThanOrEqual(60 * MINUTE_MS);
    expect(totalUsd).toBeCloseTo(180 * (WRITE_USD + READ_USD), 9);
    // 43,830 minutes a month at $0.0000054.
    expect(perMonthUsd).toBeCloseTo(43_830 * (WRITE_USD + READ_USD), 1);
  });

  test("leaves the start out of what it projects as soon as there is something else", async () => {
    const { store, pass } = meteredMemory();
    for (let at = 0; at < 10; at++) await store.list("");
    pass(MINUTE_MS);
    for (let minute = 1; minute < 6; minute++) {
      expect(store.price().perMonthUsd).toBeGreaterThan(10 * WRITE_USD * 43_830 / 6);
      await store.head("leader");
      pass(MINUTE_MS);
    }
    expect(store.price().perMonthUsd).toBeCloseTo(43_830 * READ_USD, 6);
    expect(store.price().totalUsd).toBeCloseTo(10 * WRITE_USD + 5 * READ_USD, 9);
  });

  test("forgets what is older than an hour, and projects a start from five minutes", async () => {
    const { store, pass } = meteredMemory();
    for (let at = 0; at < 10; at++) await store.list("");
    expect(store.price().perMonthUsd).toBeCloseTo(10 * WRITE_USD * 43_830 / 5, 6);
    pass(61 * MINUTE_MS);
    expect(store.price().perMonthUsd).toBe(0);
    expect(store.price().totalUsd).toBeCloseTo(10 * WRITE_USD, 9);
  });

  test("throws what the store throws", async () => {
    const { store } = meteredMemory();
    const error = await store.get("").catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Failure);
  });
});

describe("the delay", () => {
  test("lets requests go in order after the latency, with one timer at a time", async () => {
    let nowMs = 0;
    const timers: { atMs: number; run: () => void }[] = [];
    const clock = {
      ...systemClock,
      monotonicMs: () => nowMs,
      after: (ms: number, run: () => void) => {
        timers.push({ atMs: nowMs + ms, run });
        return () => {};
      },
    };
    const memory = new MemoryStore(systemClock);
    const store = delayed(memory, 30, clock);
    const done: string[] = [];
    for (let at = 0; at < 1000; at++) {
      nowMs = Math.floor(at / 500) * 10;
      void store.create(`k${at}`, bytes("x")).then(() => done.push(`k${at}`));
    }
    expect(timers).toHaveLength(1);
    const fire = async (ms: number) => {
      nowMs = ms;
      timers.shift()?.run();
      await Bun.sleep(0);
    };
    expect(timers[0]?.atMs).toBe(30);
    expect((await memory.list("")).objects).toHaveLength(0);
    await fire(30);
    expect(done).toEqual(Array.from({ length: 500 }, (_, at) => `k${at}`));
    expect(timers).toHaveLength(1);
    expect(timers[0]?.atMs).toBe(40);
    await fire(40);
    expect(done).toHaveLength(1000);
    expect(timers).toHaveLength(0);
  });
});
