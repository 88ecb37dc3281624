/**
 * Two pipes that are each other's ends, in memory. Bytes arrive after a delay on the clock, so a
 * simulated one decides about everything; they can be held, changed on the way, and cut off.
 */
import type { Clock } from "../../src/base/clock.ts";
import type { Pipe } from "../../src/members/pipe.ts";

export interface MemoryPipeOptions {
  readonly clock: Clock;
  readonly delayMs?: number;
  /** Bytes that the other end has not read before `write` asks to wait. */
  readonly windowBytes?: number;
}

export class MemoryPipe implements Pipe {
  readonly #options: MemoryPipeOptions;
  #other: MemoryPipe | null = null;
  /** What has arrived here; null is the end. */
  readonly #arrived: (Uint8Array | null)[] = [];
  #reader: (() => void) | null = null;
  #writer: (() => void) | null = null;
  #unreadBytes = 0;
  #isOver = false;
  isTrusted = false;
  /** Nothing that is written here arrives while this is set; then it arrives in its order. */
  #held: (Uint8Array | null)[] | null = null;
  /** Changes what is written here on its way: pieces instead of one. */
  onTheWay: (bytes: Uint8Array) => readonly Uint8Array[] = (bytes) => [bytes];

  constructor(options: MemoryPipeOptions) {
    this.#options = options;
  }

  static pair(options: MemoryPipeOptions): readonly [MemoryPipe, MemoryPipe] {
    const [one, two] = [new MemoryPipe(options), new MemoryPipe(options)];
    one.#other = two;
    two.#other = one;
    return [one, two];
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isWritable(): boolean {
    return !this.#isOver && this.#arrived.at(-1) !== null;
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#arrived.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => this.#reader = resolve);
    }
    const bytes = this.#arrived[0] ?? null;
    if (bytes === null) return null;
    this.#arrived.shift();
    this.#other?.wasRead(bytes.length);
    return bytes;
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#isOver) return undefined;
    for (const part of this.onTheWay(bytes)) {
      this.#unreadBytes += part.length;
      this.#carry(part);
    }
    if (this.#unreadBytes < (this.#options.windowBytes ?? Infinity)) return undefined;
    return new Promise((resolve) => this.#writer = resolve);
  }

  trust(): void {
    this.isTrusted = true;
  }

  /** Also what happens when the process at this end is killed. */
  destroy(): void {
    if (this.#isOver) return;
    this.#end();
    this.#carry(null);
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const bytes of held) this.#carry(bytes);
  }

  wasRead(bytes: number): void {
    this.#unreadBytes -= bytes;
    if (this.#unreadBytes < (this.#options.windowBytes ?? Infinity)) this.#wakeWriter();
  }

  arrive(bytes: Uint8Array | null): void {
    if (this.#isOver) return;
    this.#arrived.push(bytes);
    this.#reader?.();
    this.#reader = null;
    if (bytes === null) this.#wakeWriter();
  }

  #carry(bytes: Uint8Array | null): void {
    if (this.#held !== null) return void this.#held.push(bytes);
    this.#options.clock.after(this.#options.delayMs ?? 0, () => this.#other?.arrive(bytes));
  }

  #end(): void {
    this.#isOver = true;
    this.#arrived.length = 0;
    this.#reader?.();
    this.#reader = null;
    this.#wakeWriter();
  }

  #wakeWriter(): void {
    this.#writer?.();
    this.#writer = null;
  }
}
