/**
 * Frames: what nodes say to each other, as bytes. Big-endian.
 *
 *     u32  length of all that follows
 *     u8   type
 *     u32  length of the head
 *          head: JSON, or nothing
 *          tail: any bytes
 *     16   seal over everything before it
 *
 * A seal is made as the bytes go by, so a large frame costs no one's turn. This file knows the
 * layout alone; what a seal is made of stands in `signature.ts`.
 */
import { assert } from "../base/assert.ts";
import { describe, Failure } from "../base/failure.ts";
import { PEER_HEAD_BYTES_MAX } from "../base/limits.ts";

export interface Frame {
  readonly type: number;
  /** Any JSON value; null where the frame has no head. */
  readonly head: unknown;
  /** May share its memory with the frames around it: copy what is kept for long. */
  readonly tail: Uint8Array;
}

/** A head that is JSON already. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Sums up one frame. */
export interface Seal {
  update(bytes: Uint8Array): void;
  /** Its `SEAL_BYTES`. */
  finish(): Uint8Array;
}

/** The seal of the next frame in one direction; no two are alike. */
export type NextSeal = () => Seal;

export const SEAL_BYTES = 16;
/** Length, type and length of the head. */
export const FRAME_START_BYTES = 9;
const LENGTH_BYTES = 4;
const EMPTY = new Uint8Array(0);

/** Length of a whole frame. */
export function frameBytes(headBytes: number, tailBytes: number): number {
  return FRAME_START_BYTES + headBytes + tailBytes + SEAL_BYTES;
}

/** Writes what stands before the head at the beginning of `bytes`. */
export function writeFrameStart(
  bytes: Uint8Array,
  type: number,
  headBytes: number,
  tailBytes: number,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_START_BYTES);
  view.setUint32(0, frameBytes(headBytes, tailBytes) - LENGTH_BYTES);
  view.setUint8(LENGTH_BYTES, type);
  view.setUint32(LENGTH_BYTES + 1, headBytes);
}

interface Layout {
  readonly type: number;
  readonly headBytes: number;
  /** Of the whole frame. */
  readonly bytes: number;
}

/** A frame that began in an earlier piece than it ends in. */
interface OpenFrame {
  readonly layout: Layout;
  readonly bytes: Uint8Array;
  readonly seal: Seal;
  filled: number;
}

/** Bytes in pieces of any size → frames. Holds one frame at most, and the piece it was given last. */
export class FrameDecoder {
  readonly #nextSeal: NextSeal;
  #frameBytesMax: number;
  #piece: Uint8Array = EMPTY;
  #at = 0;
  readonly #start = new Uint8Array(FRAME_START_BYTES);
  #started = 0;
  #open: OpenFrame | null = null;

  constructor(nextSeal: NextSeal, frameBytesMax: number) {
    this.#nextSeal = nextSeal;
    this.#frameBytesMax = frameBytesMax;
  }

  set frameBytesMax(bytes: number) {
    this.#frameBytesMax = bytes;
  }

  /** Only when `next` has said null. The piece must not change afterwards. */
  push(piece: Uint8Array): void {
    assert(this.#at === this.#piece.length, `${this.#piece.length - this.#at} bytes were not read`);
    this.#piece = piece;
    this.#at = 0;
  }

  /** Null when another piece is needed. Throws `invalid` for what is no frame; nothing follows then. */
  next(): Frame | null {
    if (this.#open === null && this.#started === 0) {
      const frame = this.#nextWhole();
      if (frame !== null) return frame;
    }
    if (this.#open === null && !this.#begin()) return null;
    return this.#goOn();
  }

  /** A frame that lies within the piece is not copied. */
  #nextWhole(): Frame | null {
    if (this.#piece.length - this.#at < FRAME_START_BYTES) return null;
    const layout = readLayout(this.#piece, this.#at, this.#frameBytesMax);
    const end = this.#at + layout.bytes;
    if (end > this.#piece.length) return null;
    const bytes = this.#piece.subarray(this.#at, end);
    const seal = this.#nextSeal();
    seal.update(bytes.subarray(0, layout.bytes - SEAL_BYTES));
    this.#at = end;
    return readFrame(layout, bytes, seal);
  }

  #begin(): boolean {
    const taken = Math.min(FRAME_START_BYTES - this.#started, this.#piece.length - this.#at);
    this.#start.set(this.#piece.subarray(this.#at, this.#at + taken), this.#started);
    this.#started += taken;
    this.#at += taken;
    if (this.#started < FRAME_START_BYTES) return false;
    const layout = readLayout(this.#start, 0, this.#frameBytesMax);
    const bytes = Buffer.allocUnsafeSlow(layout.bytes);
    bytes.set(this.#start);
    const seal = this.#nextSeal();
    seal.update(this.#start);
    this.#open = { layout, bytes, seal, filled: FRAME_START_BYTES };
    return true;
  }

  #goOn(): Frame | null {
    const open = this.#open;
    if (open === null) return null;
    const { layout, bytes, seal } = open;
    const taken = Math.min(layout.bytes - open.filled, this.#piece.length - this.#at);
    const part = this.#piece.subarray(this.#at, this.#at + taken);
    bytes.set(part, open.filled);
    const unsealed = layout.bytes - SEAL_BYTES - open.filled;
    if (unsealed > 0) seal.update(part.subarray(0, unsealed));
    open.filled += taken;
    this.#at += taken;
    if (open.filled < layout.bytes) return null;
    this.#open = null;
    this.#started = 0;
    return readFrame(layout, bytes, seal);
  }
}

function readLayout(bytes: Uint8Array, at: number, frameBytesMax: number): Layout {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, FRAME_START_BYTES);
  const length = view.getUint32(0);
  const type = view.getUint8(LENGTH_BYTES);
  const headBytes = view.getUint32(LENGTH_BYTES + 1);
  const whole = LENGTH_BYTES + length;
  if (whole < frameBytes(0, 0) || whole > frameBytesMax) {
    const allowed = `${frameBytes(0, 0)} to ${frameBytesMax}`;
    throw new Failure("invalid", `Cannot read a frame of ${whole} bytes: allowed are ${allowed}`);
  }
  if (headBytes > PEER_HEAD_BYTES_MAX || frameBytes(headBytes, 0) > whole) {
    const room = Math.min(PEER_HEAD_BYTES_MAX, whole - frameBytes(0, 0));
    throw new Failure(
      "invalid",
      `Cannot read a frame of type ${type} whose head has ${headBytes} bytes: ${room} are allowed`,
    );
  }
  return { type, headBytes, bytes: whole };
}

/** Everything of it has gone through the seal. Nothing of a frame is looked at before that fits. */
function readFrame({ type, headBytes }: Layout, bytes: Uint8Array, seal: Seal): Frame {
  const end = bytes.length - SEAL_BYTES;
  if (!isSame(seal.finish(), bytes.subarray(end))) {
    throw new Failure("invalid", `Cannot take a frame of type ${type}: its signature is not right`);
  }
  const tailStart = FRAME_START_BYTES + headBytes;
  const head = readHead(type, bytes.subarray(FRAME_START_BYTES, tailStart));
  return { type, head, tail: bytes.subarray(tailStart, end) };
}

function readHead(type: number, bytes: Uint8Array): unknown {
  if (bytes.length === 0) return null;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
  try {
    return JSON.parse(text);
  } catch (cause) {
    const what = `Cannot read the head of a frame of type ${type}: ${describe(cause)}`;
    throw new Failure("invalid", what, { cause });
  }
}

/** In time that says nothing about where they differ. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}
