/**
 * What a channel costs between two processes on loopback, run by hand:
 *
 *     ./node_modules/.bin/bun tests/unit/members/bench.ts
 */
import { systemClock as clock } from "../../../src/base/clock.ts";
import { silentLog as log } from "../../../src/base/log.ts";
import { systemRandom as random } from "../../../src/base/random.ts";
import { accept } from "../../../src/members/accept.ts";
import { Answers } from "../../../src/members/answers.ts";
import { CALL_TYPE } from "../../../src/members/call-frame.ts";
import { Calls } from "../../../src/members/calls.ts";
import type { Channel, ChannelEnd } from "../../../src/members/channel.ts";
import { dial } from "../../../src/members/dial.ts";
import type { Frame } from "../../../src/members/frame.ts";
import { http2Network } from "../../../src/members/http2-dial.ts";
import { listenForPeers } from "../../../src/members/http2-listen.ts";

const SECRET = "bench";
/** Frame types of this program. */
const ECHO = 40;
const SWALLOW = 41;
const COUNT = 42;
const FLOOD = 43;

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

async function called(): Promise<void> {
  let swallowed = 0;
  const onChannel = (channel: Channel) => {
    const answers = new Answers(channel, {
      clock,
      log,
      answer: ({ text }) => Promise.resolve({ head: { epoch: 12 }, text }),
    });
    channel.start({
      onFrame: (frame: Frame) => {
        if (frame.type === ECHO) channel.send(ECHO, frame.head, frame.tail);
        else if (frame.type === SWALLOW) swallowed++;
        else if (frame.type === CALL_TYPE.calls) answers.take(frame);
        else if (frame.type === FLOOD) {
          channel.send(ECHO, {}, new Uint8Array(Number(frame.head)));
        } else channel.send(COUNT, { swallowed, cpuMs: cpuMs() });
      },
      onClose: () => process.exit(0),
    });
  };
  const self = { node: "called", process: "p1" };
  const doors = { link: { welcome: () => Promise.resolve(null), onChannel } };
  const listener = await listenForPeers({
    host: "127.0.0.1",
    port: 0,
    clock,
    accept: (path, headers) =>
      accept(path, headers, { clock, random, log, secret: SECRET, self, doors }),
  });
  console.log(listener.port);
}

class Bench {
  readonly #channel: Channel;
  readonly #calls: Calls;
  #onFrame: (frame: Frame) => void = () => {};

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#calls = new Calls(channel, { clock });
    channel.start({
      onFrame: (frame) => {
        if (frame.type === CALL_TYPE.answers) this.#calls.take(frame);
        else this.#onFrame(frame);
      },
      onClose: (end: ChannelEnd) => {
        this.#calls.closed(end);
        console.log(end.kind, end.message);
      },
    });
  }

  ask(type: number, head: unknown, tail?: Uint8Array): Promise<Frame> {
    return new Promise((resolve) => {
      this.#onFrame = resolve;
      this.#channel.send(type, head, tail);
    });
  }

  async counted(): Promise<{ readonly swallowed: number; readonly cpuMs: number }> {
    return (await this.ask(COUNT, {})).head as { swallowed: number; cpuMs: number };
  }

  async roundTrips(count: number): Promise<void> {
    const times: number[] = [];
    const tail = new Uint8Array(200);
    for (let at = 0; at < count; at++) {
      const startMs = clock.monotonicMs();
      await this.ask(ECHO, { at }, tail);
      times.push(clock.monotonicMs() - startMs);
    }
    times.sort((a, b) => a - b);
    const at = (share: number) => `${((times[Math.floor(count * share)] ?? 0) * 1_000) | 0} µs`;
    console.log(`round trip of 200 bytes: p50 ${at(0.5)}, p99 ${at(0.99)}`);
  }

  async large(bytes: number): Promise<void> {
    const down = clock.monotonicMs();
    await this.ask(FLOOD, bytes);
    const up = clock.monotonicMs();
    this.#channel.send(SWALLOW, {}, new Uint8Array(bytes));
    await this.counted();
    const end = clock.monotonicMs();
    const [downMs, upMs] = [up - down, end - up].map((ms) => ms.toFixed(0));
    console.log(`one frame of ${bytes >> 20} MiB: down ${downMs} ms, up ${upMs} ms`);
  }

  async frames(count: number): Promise<void> {
    const tail = new Uint8Array(200);
    const before = await this.counted();
    const [startMs, startCpu] = [clock.monotonicMs(), cpuMs()];
    for (let at = 0; at < count; at++) {
      this.#channel.send(SWALLOW, { at }, tail);
      if (at % 500 === 0) await clock.turn();
    }
    const after = await this.counted();
    const ms = clock.monotonicMs() - startMs;
    const [here, there] = [cpuMs() - startCpu, after.cpuMs - before.cpuMs]
      .map((spent) => (spent / count * 1_000).toFixed(2));
    const rate = Math.round(count / ms * 1_000);
    console.log(`frames of 200 bytes: ${rate}/s, CPU ${here} µs here, ${there} µs there`);
  }

  async calls(count: number, concurrency: number, characters: number): Promise<void> {
    const text = "x".repeat(characters);
    const before = await this.counted();
    const [startMs, startCpu] = [clock.monotonicMs(), cpuMs()];
    let made = 0;
    const times: number[] = [];
    const work = async () => {
      while (made++ < count) {
        const madeMs = clock.monotonicMs();
        await this.#calls.call({
          name: "execute",
          head: { database: "orders", subject: "anonymous", hops: 1 },
          text,
          deadlineMs: madeMs + 5_000,
        });
        times.push(clock.monotonicMs() - madeMs);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    const ms = clock.monotonicMs() - startMs;
    const after = await this.counted();
    const [here, there] = [cpuMs() - startCpu, after.cpuMs - before.cpuMs]
      .map((spent) => (spent / count * 1_000).toFixed(2));
    times.sort((a, b) => a - b);
    const p50 = (times[count >> 1] ?? 0).toFixed(2);
    const rate = Math.round(count / ms * 1_000);
    console.log(
      `calls of ${characters} characters, ${concurrency} at a time: ${rate}/s, p50 ${p50} ms, ` +
        `CPU ${here} µs here, ${there} µs there`,
    );
  }
}

async function caller(): Promise<void> {
  const child = Bun.spawn([process.execPath, import.meta.path, "called"], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const dialled = await dial(`127.0.0.1:${Number(new TextDecoder().decode(value))}`, {
    network: http2Network(clock),
    clock,
    random,
    secret: SECRET,
    self: { node: "caller", process: "p2" },
    name: "link",
    hello: null,
  });
  if (dialled.kind !== "open") throw dialled.failure;
  const bench = new Bench(dialled.channel);
  for (let round = 0; round < 2; round++) {
    await bench.roundTrips(10_000);
    await bench.large(64 << 20);
    await bench.frames(500_000);
    await bench.calls(3_000, 1, 200);
    await bench.calls(200_000, 100, 200);
    await bench.calls(400_000, 2_000, 200);
  }
  const closedMs = clock.monotonicMs();
  dialled.channel.close("done");
  await child.exited;
  console.log(`closing, and the other's exit: ${(clock.monotonicMs() - closedMs).toFixed(0)} ms`);
}

await (process.argv[2] === "called" ? called() : caller());
