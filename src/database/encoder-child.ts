/**
 * The encoder process: makes one LTX object of a whole SQLite file and ends. It runs at low
 * priority, since nobody waits for a snapshot.
 */
import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { Failure } from "../base/failure.ts";
import { PageHashes } from "../epoch/checksum.ts";
import { EpochEncoder } from "../epoch/encode.ts";
import { lockPage } from "../epoch/epoch.ts";
import type { ParentPort } from "./child.ts";
import { type EncodeOrder, type EncodeOutcome, headerOf } from "./encoder-message.ts";
import { sqlFailure } from "./sql-error.ts";

const READ_BYTES = 1024 * 1024;
const WRITE_BYTES = 1024 * 1024;

export function main(port: ParentPort): void {
  setPriority(constants.priority.PRIORITY_LOW);
  port.onMessage((message) => {
    port.send(encodeOrder(message as EncodeOrder));
  });
}

/** Carries out one order. A failure is an outcome, and leaves no file. */
export function encodeOrder(order: EncodeOrder): EncodeOutcome {
  try {
    return encode(order);
  } catch (error) {
    rmSync(order.target, { force: true });
    return { failure: sqlFailure(error, `Cannot encode ${order.source}`) };
  }
}

function encode(order: EncodeOrder): EncodeOutcome {
  const header = headerOf(order);
  const { pageSize, commit } = header;
  const source = openSync(order.source, "r");
  const target = new Target(order.target);
  try {
    if (fstatSync(source).size !== commit * pageSize) {
      throw new Failure("corrupt", `it has ${fstatSync(source).size} bytes, not ${commit} pages`);
    }
    const encoder = new EpochEncoder();
    const hashes = new PageHashes(pageSize, commit);
    const lock = lockPage(pageSize);
    const run = new Uint8Array(Math.max(READ_BYTES, pageSize));
    target.write(encoder.begin(header));
    for (let number = 1; number <= commit;) {
      const length = readWhole(source, run, (number - 1) * pageSize);
      for (let at = 0; at < length; at += pageSize, number++) {
        if (number === lock) continue;
        const bytes = run.subarray(at, at + pageSize);
        hashes.setPage(number, bytes);
        target.write(encoder.page({ number, bytes }));
      }
    }
    if (hashes.sum !== header.databaseChecksum) {
      throw new Failure(
        "corrupt",
        `its checksum is ${hashes.sum.toString(16)}, not ${header.databaseChecksum.toString(16)}`,
      );
    }
    const end = encoder.end();
    target.write(end.bytes);
    return { size: target.flush(), fileChecksum: String(end.fileChecksum) };
  } finally {
    closeSync(source);
    target.close();
  }
}

/** Fills `run` from `offset`, or as far as the file goes. */
function readWhole(descriptor: number, run: Uint8Array, offset: number): number {
  let done = 0;
  for (;;) {
    const length = readSync(descriptor, run, done, run.length - done, offset + done);
    done += length;
    if (length === 0 || done === run.length) return done;
  }
}

/** Gathers the encoder's small pieces into large writes. */
class Target {
  readonly #descriptor: number;
  readonly #buffer = new Uint8Array(WRITE_BYTES);
  #used = 0;
  #size = 0;

  constructor(path: string) {
    this.#descriptor = openSync(path, "wx", 0o600);
  }

  write(bytes: Uint8Array): void {
    if (this.#used + bytes.length > this.#buffer.length) this.flush();
    if (bytes.length > this.#buffer.length) return this.#put(bytes);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** Returns the bytes written so far. */
  flush(): number {
    this.#put(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
    return this.#size;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #put(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      at += writeSync(this.#descriptor, bytes, at, bytes.length - at);
    }
    this.#size += bytes.length;
  }
}
