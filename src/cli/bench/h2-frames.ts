/**
 * HTTP/2 frames as bytes (RFC 9113, sections 4 and 6), as much as a client that only measures
 * needs. Writers put a frame into a caller's buffer and return its end; the reader cuts a byte
 * stream into frames and hands out offsets, so that a small answer costs no allocation.
 */
import { Failure } from "../../base/failure.ts";

export const FRAME_HEADER_BYTES = 9;
/** What both sides may send before anything else is agreed on. */
export const FRAME_PAYLOAD_BYTES_DEFAULT = 16_384;
export const WINDOW_BYTES_DEFAULT = 65_535;
export const WINDOW_BYTES_MAX = 0x7fff_ffff;
export const STREAM_ID_MAX = 0x7fff_ffff;

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const;

/** Names of the error codes of RFC 9113, section 7, by number. */
export const ERROR_NAMES: readonly string[] = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? `error ${code}`;
}

export const PREFACE: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Writes the nine bytes before a payload of `payloadBytes`; returns where the payload starts. */
export function writeFrameHeader(
  out: Uint8Array,
  offset: number,
  payloadBytes: number,
  type: number,
  flags: number,
  stream: number,
): number {
  out[offset] = payloadBytes >>> 16;
  out[offset + 1] = payloadBytes >>> 8;
  out[offset + 2] = payloadBytes;
  out[offset + 3] = type;
  out[offset + 4] = flags;
  return writeU32(out, offset + 5, stream);
}

/** Each setting is a pair of identifier and value. */
export function settingsFrame(settings: readonly (readonly [number, number])[]): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES + settings.length * 6);
  let offset = writeFrameHeader(out, 0, settings.length * 6, FRAME.settings, 0, 0);
  for (const [identifier, value] of settings) {
    out[offset] = identifier >>> 8;
    out[offset + 1] = identifier;
    offset = writeU32(out, offset + 2, value);
  }
  return out;
}

export function settingsAckFrame(): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES);
  writeFrameHeader(out, 0, 0, FRAME.settings, FLAG.ack, 0);
  return out;
}

/** `payload` is the eight bytes of the ping that is answered. */
export function pingAckFrame(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES + 8);
  out.set(payload.subarray(0, 8), writeFrameHeader(out, 0, 8, FRAME.ping, FLAG.ack, 0));
  return out;
}

/** Stream 0 is the whole connection. */
export function windowUpdateFrame(stream: number, incrementBytes: number): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES + 4);
  writeU32(out, writeFrameHeader(out, 0, 4, FRAME.windowUpdate, 0, stream), incrementBytes);
  return out;
}

export function rstStreamFrame(stream: number, code: number): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES + 4);
  writeU32(out, writeFrameHeader(out, 0, 4, FRAME.rstStream, 0, stream), code);
  return out;
}

export function goawayFrame(lastStream: number, code: number): Uint8Array {
  const out = new Uint8Array(FRAME_HEADER_BYTES + 8);
  const offset = writeU32(out, writeFrameHeader(out, 0, 8, FRAME.goaway, 0, 0), lastStream);
  writeU32(out, offset, code);
  return out;
}

export function writeU32(out: Uint8Array, offset: number, value: number): number {
  out[offset] = value >>> 24;
  out[offset + 1] = value >>> 16;
  out[offset + 2] = value >>> 8;
  out[offset + 3] = value;
  return offset + 4;
}

/** Missing bytes read as 0; callers check lengths first. */
export function readU32(bytes: Uint8Array, offset: number): number {
  return (((bytes[offset] ?? 0) << 24) | ((bytes[offset + 1] ?? 0) << 16) |
    ((bytes[offset + 2] ?? 0) << 8) | (bytes[offset + 3] ?? 0)) >>> 0;
}

/** A frame's payload is `bytes` from `start` to `end`, valid only during the call. */
export type FrameHandler = (
  type: number,
  flags: number,
  stream: number,
  bytes: Uint8Array,
  start: number,
  end: number,
) => void;

/** "HTT", which a server that does not know HTTP/2 sends where a frame's length should be. */
const HTTP1_START = 0x48_54_54;

const NOTHING = new Uint8Array(0);

/** Cuts a byte stream into frames; keeps at most one incomplete frame. */
export class FrameReader {
  readonly #onFrame: FrameHandler;
  readonly #payloadBytesMax: number;
  #rest: Uint8Array = NOTHING;

  constructor(onFrame: FrameHandler, payloadBytesMax: number = FRAME_PAYLOAD_BYTES_DEFAULT) {
    this.#onFrame = onFrame;
    this.#payloadBytesMax = payloadBytesMax;
  }

  /** Throws `invalid` when a frame is longer than we allowed the peer to send. */
  push(chunk: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? chunk : joined(this.#rest, chunk);
    let offset = 0;
    while (bytes.length - offset >= FRAME_HEADER_BYTES) {
      const payloadBytes = readU32(bytes, offset) >>> 8;
      if (payloadBytes > this.#payloadBytesMax) {
        if (payloadBytes === HTTP1_START) {
          throw new Failure("invalid", "Cannot read a frame: the peer speaks HTTP/1");
        }
        throw new Failure(
          "invalid",
          `Cannot read a frame of ${payloadBytes} bytes: the most allowed is ${this.#payloadBytesMax}`,
        );
      }
      const start = offset + FRAME_HEADER_BYTES;
      const end = start + payloadBytes;
      if (end > bytes.length) break;
      const stream = readU32(bytes, offset + 5) & STREAM_ID_MAX;
      this.#onFrame(bytes[offset + 3] ?? 0, bytes[offset + 4] ?? 0, stream, bytes, start, end);
      offset = end;
    }
    // A copy, because the runtime may reuse the chunk.
    this.#rest = offset === bytes.length ? NOTHING : bytes.slice(offset);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const out = new Uint8Array(first.length + second.length);
  out.set(first, 0);
  out.set(second, first.length);
  return out;
}
