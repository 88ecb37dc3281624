/**
 * One chain as an observer saw it who was there at every moment: each epoch as it was first created,
 * and the database as it was after it. What nodes believe is held against this.
 */
import { Database } from "bun:sqlite";
import { pageHash } from "../../src/epoch/checksum.ts";
import { EpochDecoder } from "../../src/epoch/decode.ts";
import type { EpochHeader } from "../../src/epoch/epoch.ts";
import { decodeHeader } from "../../src/epoch/header.ts";
import { type ObjectName, SNAPSHOT_LEVEL } from "../../src/epoch/key.ts";
import { type Listed, planRestore } from "../../src/epoch/plan.ts";
import type { Violated } from "./simulated-bucket.ts";

export interface EpochFacts {
  readonly header: EpochHeader;
  readonly fileChecksum: bigint;
  readonly sender: string;
  readonly bytes: Uint8Array;
  /** The whole content was replaced: rolled back, dropped, made empty. */
  readonly isRewrite: boolean;
  readonly atMs: number;
}

interface Created {
  readonly sender: string;
  readonly isFile: boolean;
  readonly atMs: number;
}

const U64 = (1n << 64n) - 1n;

export class SimulatedChain {
  readonly name: string;
  readonly #violated: Violated;
  readonly #epochs: EpochFacts[] = [];
  /** Pages after each epoch; unchanged ones are shared. */
  readonly #pages: Uint8Array[][] = [];
  /** Objects that are there now. */
  readonly #objects = new Map<string, Listed>();
  #claims: number[] = [];
  /** Claims that were created on a pruned part, and own epochs that were created again. */
  strays = 0;
  recreated = 0;

  constructor(name: string, violated: Violated) {
    this.name = name;
    this.#violated = violated;
  }

  /** The newest epoch there ever was. */
  get tip(): number {
    return this.#epochs.length;
  }

  get claims(): readonly number[] {
    return this.#claims;
  }

  epoch(number: number): EpochFacts | undefined {
    return this.#epochs[number - 1];
  }

  created(name: ObjectName, bytes: Uint8Array, facts: Created): void {
    const what = `${name.level}/${name.min}-${name.max} of ${this.name} by ${facts.sender}`;
    this.#objects.set(keyOf(name), { ...name, size: bytes.length });
    const decoder = new EpochDecoder(what);
    const pages = [...decoder.push(bytes)];
    const { header, fileChecksum } = decoder.finish();
    if (name.level !== 0) return this.#whole(name, header, what);
    const number = header.maxEpoch;
    if (number > this.tip + 1) {
      return this.#violated("I2", `${what} was created beyond the tip ${this.tip}`);
    }
    const before = this.epoch(number);
    if (before) return this.#again(before, bytes, header, what);
    const last = this.epoch(this.tip);
    if (header.link !== (last?.fileChecksum ?? 0n)) {
      this.#violated("I9", `${what} does not link to the epoch before it`);
    }
    if (header.kind !== "claim") this.#checkOwner(header, what);
    else this.#claims.push(number);
    this.#epochs.push({
      header,
      fileChecksum,
      bytes,
      sender: facts.sender,
      isRewrite: facts.isFile,
      atMs: facts.atMs,
    });
    const content = (this.#pages.at(-1) ?? []).slice(0, header.commit);
    for (const page of pages) content[page.number - 1] = page.bytes.slice();
    this.#pages.push(content);
    let sum = 0n;
    for (const [at, page] of content.entries()) sum += pageHash(page, at + 1);
    if ((sum & U64) !== header.databaseChecksum) {
      this.#violated("I6", `${what} says another checksum than its content has`);
    }
  }

  removed(name: ObjectName, bytes: Uint8Array): void {
    this.#objects.delete(keyOf(name));
    if (name.level !== 0) return;
    const { kind } = decodeHeader(bytes, `${name.min}`);
    const isStray = this.epoch(name.min)?.bytes.length !== bytes.length ||
      Buffer.compare(this.epoch(name.min)!.bytes, bytes) !== 0;
    if ((kind === "claim" || kind === "tombstone") && !isStray) {
      this.#violated("I4", `the ${kind} ${name.min} of ${this.name} was removed`);
    }
  }

  /** What is left must lead to the tip. */
  checkRestorable(): void {
    const plan = planRestore([...this.#objects.values()], this.tip);
    if (plan.kind === "complete") return;
    this.#violated("I10", `${this.name} cannot be restored: epoch ${plan.missing} is gone`);
  }

  /** The database after an epoch, as SQLite reads it; the caller closes it. */
  open(epoch: number): Database {
    return Database.deserialize(this.bytes(epoch));
  }

  bytes(epoch: number): Buffer {
    const pages = this.#pages[epoch - 1];
    if (!pages) throw new Error(`there is no epoch ${epoch} of ${this.name}`);
    return Buffer.concat(pages);
  }

  /** Only whoever claimed last appends: two owners would show here. */
  #checkOwner(header: EpochHeader, what: string): void {
    const claim = this.epoch(this.#claims.at(-1) ?? 0);
    if (claim?.header.nodeId === header.nodeId) return;
    this.#violated("I2", `${what} is not by the owner since ${this.#claims.at(-1)}`);
  }

  #again(before: EpochFacts, bytes: Uint8Array, header: EpochHeader, what: string): void {
    if (Buffer.compare(before.bytes, bytes) === 0) return void this.recreated++;
    if (header.kind === "claim") return void this.strays++;
    this.#violated("I4", `${what} took a number that another ${before.header.kind} had`);
  }

  #whole(name: ObjectName, header: EpochHeader, what: string): void {
    const epoch = this.epoch(name.max);
    if (!epoch) return this.#violated("I6", `${what} holds an epoch that is not durable`);
    const same = header.databaseChecksum === epoch.header.databaseChecksum &&
      header.link === epoch.fileChecksum;
    if (!same) this.#violated("I6", `${what} is not what the chain was at ${name.max}`);
    if (name.level === SNAPSHOT_LEVEL && header.kind === "data") {
      this.#violated("I4", `${what} holds claims and says that it does not`);
    }
  }
}

function keyOf({ level, min, max }: { level: number; min: number; max: number }): string {
  return `${level}/${min}-${max}`;
}
