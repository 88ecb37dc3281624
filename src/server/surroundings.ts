/**
 * What a command sees of the process it runs in: environment, terminal, clock, chance. Commands get
 * it as an argument, so a test can bring its own.
 */
import { createReadStream, readFileSync, writeSync } from "node:fs";
import { type Clock, systemClock } from "../base/clock.ts";
import { type Random, systemRandom } from "../base/random.ts";
import { clockOfTest } from "./clock-offset.ts";

export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  /** Text for standard output, newlines included. */
  write(text: string): void;
  /** Bytes for standard output, behind whatever was written before. */
  writeBytes(bytes: Uint8Array): void;
  /** Text for standard error, newlines included. */
  writeError(text: string): void;
  /** All of standard input; "" where it is a terminal. */
  readInput(): string;
  /** Standard input as it comes, for what may be larger than memory. */
  input(): AsyncIterable<Uint8Array>;
  readonly inputIsTerminal: boolean;
  readonly outputIsTerminal: boolean;
  readonly errorIsTerminal: boolean;
  /** Columns of the terminal; null where the output is none. */
  columns(): number | null;
  /** argv that starts this program again, before its arguments. */
  readonly command: readonly string[];
}

export function processSurroundings(): Surroundings {
  // A compiled binary is its own program; otherwise the runtime is given the path of main.ts.
  const compiled = Bun.main.startsWith("/$bunfs/") || /^[A-Z]:[\\/]~BUN/i.test(Bun.main);
  return {
    environment: process.env,
    clock: clockOfTest(process.env, systemClock),
    random: systemRandom,
    write: (text) => writeAll(1, Buffer.from(text)),
    writeBytes: (bytes) => writeAll(1, bytes),
    writeError: (text) => writeAll(2, Buffer.from(text)),
    readInput: () => (process.stdin.isTTY ? "" : readFileSync(0, "utf8")),
    input: () => createReadStream("", { fd: 0 }),
    inputIsTerminal: process.stdin.isTTY === true,
    outputIsTerminal: process.stdout.isTTY === true,
    errorIsTerminal: process.stderr.isTTY === true,
    columns: () => (process.stdout.isTTY ? process.stdout.columns || 80 : null),
    command: compiled ? [process.execPath] : [process.execPath, Bun.main],
  };
}

/**
 * Writes at once, so that nothing is lost when the process ends. A reader that went away, as in
 * `… | head`, ends it as it ends other programs.
 */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  let left = bytes;
  while (left.byteLength > 0) {
    try {
      left = left.subarray(writeSync(descriptor, left));
    } catch (error) {
      const code: unknown = Object(error).code;
      if (code === "EPIPE") process.exit(0);
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}
