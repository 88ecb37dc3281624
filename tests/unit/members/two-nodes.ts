/** Two nodes on a simulated clock and a network in memory: `called` listens, `caller` dials. */
import { drainMicrotasks } from "bun:jsc";
import type { Frame } from "../../../src/members/frame.ts";
import { accept, type AcceptOptions, type Door } from "../../../src/members/accept.ts";
import type { Channel, ChannelEnd, Peer } from "../../../src/members/channel.ts";
import { dial, type Dialled, type DialOptions } from "../../../src/members/dial.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { silentLog } from "../../../src/base/log.ts";
import { MemoryNetwork } from "../../support/memory-network.ts";
import type { MemoryPipeOptions } from "../../support/memory-pipe.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

export const ADDRESS = "called:8443";

/** One end of a channel, and what it has seen. */
export class End {
  readonly frames: Frame[] = [];
  end: ChannelEnd | null = null;
  readonly channel: Channel;
  onFrame: (frame: Frame) => void = () => {};

  constructor(channel: Channel) {
    this.channel = channel;
    channel.start({
      onFrame: (frame) => {
        this.frames.push(frame);
        this.onFrame(frame);
      },
      onClose: (end) => this.end = end,
    });
  }

  get heads(): readonly unknown[] {
    return this.frames.map(({ head }) => head);
  }
}

export class TwoNodes {
  readonly timeline = new Timeline();
  readonly clock = new SimulatedClock(this.timeline);
  readonly random = seededRandom(7);
  readonly network: MemoryNetwork;
  /** Ends of channels that were taken. */
  readonly taken: End[] = [];
  readonly knocked: Peer[] = [];
  welcome: (peer: Peer) => Promise<unknown> = () => Promise.resolve({ claim: 12 });
  readonly #called: AcceptOptions;
  readonly #unsentBytesMax: { readonly unsentBytesMax?: number };

  constructor(options: Partial<MemoryPipeOptions & AcceptOptions> = {}) {
    const { unsentBytesMax } = options;
    this.#unsentBytesMax = unsentBytesMax === undefined ? {} : { unsentBytesMax };
    this.network = new MemoryNetwork({ clock: this.clock, delayMs: 1, ...options });
    const door: Door = {
      welcome: (peer) => {
        this.knocked.push(peer);
        return this.welcome(peer);
      },
      onChannel: (channel) => this.taken.push(new End(channel)),
    };
    this.#called = {
      clock: this.clock,
      random: this.random,
      log: silentLog,
      secret: "the cluster's",
      self: { node: "node-called", process: "process-1" },
      doors: { link: door, other: door },
      ...options,
    };
    this.network.listen(ADDRESS, (path, headers) => accept(path, headers, this.#called));
  }

  dial(options: Partial<DialOptions> = {}): Promise<Dialled> {
    return dial(ADDRESS, {
      network: this.network,
      clock: this.clock,
      random: this.random,
      secret: "the cluster's",
      self: { node: "node-caller", process: "process-2" },
      name: "link",
      hello: { address: "caller:8443" },
      ...this.#unsentBytesMax,
      ...options,
    });
  }

  /** Lets the world go on until the promise is resolved. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = () => void (isDone = true);
    promise.then(done, done);
    while (!isDone && this.timeline.step());
    return await promise;
  }

  /** Lets everything happen that is left to happen. */
  settle(): void {
    drainMicrotasks();
    while (this.timeline.step());
  }

  /** Lets this much time go by. */
  pass(ms: number): void {
    drainMicrotasks();
    let isOver = false;
    this.timeline.schedule(ms, () => isOver = true);
    while (!isOver && this.timeline.step());
  }

  /** A channel that stands: caller's end, called's. */
  async open(options: Partial<DialOptions> = {}): Promise<readonly [End, End]> {
    const dialled = await this.until(this.dial(options));
    if (dialled.kind !== "open") throw dialled.failure;
    const taken = this.taken.at(-1);
    if (taken === undefined) throw new Error("nobody took the channel");
    return [new End(dialled.channel), taken];
  }
}
