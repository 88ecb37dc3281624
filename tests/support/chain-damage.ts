/**
 * What may happen to an object of a chain on a disk or in a store: a bit that flips, bytes that are
 * cut off, another object in its place. Each says what a node must name as the cause. Works on the
 * files of a directory store: a file is replaced whole, as nobody writes to one that is there.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeEpoch } from "../../src/epoch/decode.ts";
import { encodeEpoch } from "../../src/epoch/encode.ts";
import type { EpochHeader } from "../../src/epoch/epoch.ts";
import { LEVEL_MAX, levelPrefix, objectKey } from "../../src/epoch/key.ts";

/** Objects that may be put in the place of the one at hand. */
export interface Others {
  /** Of the same database and level. */
  readonly anotherEpoch: Uint8Array;
  /** Of the same level, with the same range of epochs. */
  readonly anotherDatabase: Uint8Array;
}

export interface Damage {
  /** Ends the sentence "an object with …". */
  readonly name: string;
  /** What a node says is wrong with the object, or with the one behind it that does not follow. */
  readonly cause: RegExp;
  make(bytes: Uint8Array, others: Others): Uint8Array;
}

const CHECKSUM = /the file checksum is [0-9a-f]+, but the content has [0-9a-f]+/;
const HEADER_BYTES = 100;
const TRAILER_BYTES = 16;

/** Bit 0 of the last byte of each field of the header, and who finds it. */
const FIELDS: readonly (readonly [name: string, at: number, cause: RegExp])[] = [
  ["magic number", 3, /it does not begin with LTX1/],
  ["flags", 7, /flags 0x3/],
  ["page size", 11, /a page size of 4097/],
  ["commit", 15, either(/page \d+ of (a database of )?\d+( pages| is missing)/, CHECKSUM)],
  ["first epoch", 23, either(/epochs \d+ to \d+/, CHECKSUM)],
  ["last epoch", 31, either(/epochs \d+ to \d+/, CHECKSUM)],
  ["timestamp", 39, CHECKSUM],
  ["zeroes", 50, /a field that must be 0 is not/],
  ["node id", 79, CHECKSUM],
  ["database checksum", 87, CHECKSUM],
  ["link", 95, CHECKSUM],
  ["kind", 99, CHECKSUM],
];

export const DAMAGES: readonly Damage[] = [
  ...FIELDS.map(([name, at, cause]) => ({
    name: `a flipped bit in the ${name}`,
    cause,
    make: (bytes: Uint8Array) => flipped(bytes, at),
  })),
  {
    name: "a flipped bit in a page",
    cause: either(/the block of page \d+/, CHECKSUM),
    make: (bytes) => flipped(bytes, (HEADER_BYTES + indexStart(bytes)) >> 1),
  },
  {
    name: "a flipped bit in the page index",
    cause: /the page index does not agree with the pages/,
    make: (bytes) => flipped(bytes, indexStart(bytes)),
  },
  {
    name: "a flipped bit in the trailer",
    cause: CHECKSUM,
    make: (bytes) => flipped(bytes, bytes.length - 1),
  },
  {
    name: "its second half cut off",
    cause: /it ends within the (page number|block size|block)/,
    make: (bytes) => bytes.slice(0, bytes.length >> 1),
  },
  {
    name: "its last byte cut off",
    cause: /it ends within the trailer/,
    make: (bytes) => bytes.slice(0, -1),
  },
  {
    name: "no bytes at all",
    cause: /it ends within the header/,
    make: () => new Uint8Array(0),
  },
  {
    name: "a byte too many",
    cause: /bytes after its end/,
    make: (bytes) => Buffer.concat([bytes, new Uint8Array(1)]),
  },
  {
    name: "another epoch in its place",
    cause: /it holds epochs \d+ to \d+/,
    make: (_, { anotherEpoch }) => anotherEpoch,
  },
  {
    name: "another database's in its place",
    cause: /its link is [0-9a-f]{16}, the epoch before it has checksum [0-9a-f]{16}/,
    make: (_, { anotherDatabase }) => anotherDatabase,
  },
];

function either(one: RegExp, other: RegExp): RegExp {
  return new RegExp(`${one.source}|${other.source}`);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}

/** Where the page index begins: its length is the number before the trailer. */
function indexStart(bytes: Uint8Array): number {
  const end = bytes.length - TRAILER_BYTES - 8;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return end - Number(view.getBigUint64(end));
}

/** The object with another header, or other pages, and a file checksum that is right for them. */
export function forged(
  bytes: Uint8Array,
  header: Partial<EpochHeader>,
  change: (page: number, bytes: Uint8Array) => void = () => {},
): Uint8Array {
  const { pages, ...read } = decodeEpoch(bytes, "an object to be forged");
  for (const page of pages) change(page.number, page.bytes);
  return encodeEpoch({ ...read.header, ...header }, pages).bytes;
}

/** One object of a chain in a directory store. */
export class StoredObject {
  readonly key: string;
  readonly path: string;
  readonly min: number;
  readonly max: number;

  constructor(store: string, database: string, level: number, min: number, max: number) {
    this.key = objectKey("filesystem", database, level, min, max);
    this.path = join(fileURLToPath(store), this.key);
    this.min = min;
    this.max = max;
  }

  read(): Uint8Array {
    return new Uint8Array(readFileSync(this.path));
  }

  /** These bytes from now on; a reader has either those before or these. */
  put(bytes: Uint8Array): void {
    mkdirSync(dirname(this.path), { recursive: true });
    const made = `${this.path}.new`;
    writeFileSync(made, bytes);
    renameSync(made, this.path);
  }

  /** Takes it out of the store. Answers its bytes. */
  take(): Uint8Array {
    const bytes = this.read();
    rmSync(this.path);
    return bytes;
  }
}

/** The objects of one level, in order. */
export function storedObjects(store: string, database: string, level: number): StoredObject[] {
  const folder = join(fileURLToPath(store), levelPrefix("filesystem", database, level));
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith(".ltx")).sort().map((name) => {
    const [min = 0, max = 0] = name.split(/[-.]/).map((text) => Number.parseInt(text, 16));
    return new StoredObject(store, database, level, min, max);
  });
}

/** What a chain holds beyond an epoch, taken out of the store as if it were not written yet. */
export class LaterObjects {
  readonly #taken: (readonly [StoredObject, Uint8Array])[] = [];

  constructor(store: string, database: string, last: number) {
    for (let level = 0; level <= LEVEL_MAX; level++) {
      for (const object of storedObjects(store, database, level)) {
        if (object.max > last) this.#taken.push([object, object.take()]);
      }
    }
  }

  /**
   * Puts them back, the newest first, so that whoever waits for the next finds all there are. By
   * their keys: bytes to put in the place of those that were taken.
   */
  show(instead: Readonly<Record<string, Uint8Array>> = {}): void {
    for (const [object, bytes] of this.#taken.toReversed()) {
      object.put(instead[object.key] ?? bytes);
    }
  }
}
