/**
 * A channel: an open link to a peer that has proven who it is. Frames go both ways until one side
 * closes it; why it ended is told exactly, since the election acts on it. Both ends are alike.
 */
import { Failure, isFailure } from "../base/failure.ts";
import type { Clock } from "../base/clock.ts";
import { assert } from "../base/assert.ts";
import { PEER_CLOSE_MS, PEER_UNSENT_BYTES_MAX } from "../base/limits.ts";
import { failureHead, readFailure } from "./failure-frame.ts";
import type { Frame } from "./frame.ts";
import type { Wire } from "./wire.ts";

/** Types below `USER` are the channel's own. */
export const FRAME_TYPE = { ready: 0, hello: 1, goodbye: 2, user: 16 } as const;

/** Who is at the other end. */
export interface Peer {
  readonly node: string;
  /** The start nonce of its process. */
  readonly process: string;
  /** What it said of itself: any JSON value. */
  readonly hello: unknown;
}

/**
 * - `closed`       the peer closed it and said why: its process lives
 * - `refused`      the peer closed it with a failure: its process lives
 * - `reset`        it ended without a word: the peer's process is gone, or something between us cut it
 * - `bad_frame`    what came was not the next frame of this peer
 * - `overflow`     the peer took so little that too much waited to be sent
 * - `closed_here`  this side closed it
 */
export type ChannelEnd =
  & {
    readonly message: string;
    /** The number of this side's last frame that the peer may have handled; it has none after it. */
    readonly lastFrameHandled: number;
  }
  & (
    | { readonly kind: "closed" | "reset" | "bad_frame" | "overflow" | "closed_here" }
    | { readonly kind: "refused"; readonly failure: Failure }
  );

export interface ChannelHandlers {
  /** One frame after another, as they came. A `Failure` thrown here ends the channel as a bad frame. */
  onFrame(frame: Frame): void;
  /** Once, the last that happens. */
  onClose(end: ChannelEnd): void;
}

export interface ChannelOptions {
  readonly clock: Clock;
  readonly unsentBytesMax?: number;
}

export class Channel {
  readonly peer: Peer;
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #unsentBytesMax: number;
  #handlers: ChannelHandlers | null = null;
  #end: ChannelEnd | null = null;
  #cancelLinger: () => void = () => {};

  /** Both hellos are through. */
  constructor(wire: Wire, peer: Peer, options: ChannelOptions) {
    this.#wire = wire;
    this.peer = peer;
    this.#clock = options.clock;
    this.#unsentBytesMax = options.unsentBytesMax ?? PEER_UNSENT_BYTES_MAX;
  }

  /** Why it ended; null while it is open. */
  get end(): ChannelEnd | null {
    return this.#end;
  }

  /** When the peer's last byte came, on the monotonic clock. */
  get lastInputMs(): number {
    return this.#wire.lastInputMs;
  }

  get unsentBytes(): number {
    return this.#wire.unsentBytes;
  }

  /** The number of the frame that was sent last, the first one being 1. */
  get lastFrame(): number {
    return this.#wire.framesQueued;
  }

  /** Frames up to this number may have reached the peer; later ones have not left. */
  get lastFrameSent(): number {
    return this.#wire.framesSent;
  }

  /** Nothing is read before this. */
  start(handlers: ChannelHandlers): void {
    assert(this.#handlers === null, "a channel is started once");
    this.#handlers = handlers;
    if (this.#end !== null) return handlers.onClose(this.#end);
    void this.#readAll();
  }

  /**
   * False when the channel has ended, maybe by this very frame: nobody will get it. `head` is any
   * JSON value or a `JsonText`, undefined for none. A large `tail` must not change until it is sent.
   */
  send(type: number, head: unknown, tail?: Uint8Array): boolean {
    assert(type >= FRAME_TYPE.user && type <= 0xff, `frame type ${type} is not the user's`);
    if (this.#end !== null) return false;
    const bytes = this.#wire.unsentBytes + (tail?.length ?? 0);
    if (bytes > this.#unsentBytesMax) {
      this.#stop({
        kind: "overflow",
        message: `${bytes} bytes wait to be sent to ${this.peer.node}; at most ` +
          `${this.#unsentBytesMax} may`,
        lastFrameHandled: this.#wire.framesSent,
      });
      return false;
    }
    this.#wire.send(type, head, tail);
    return true;
  }

  /**
   * What was sent before still goes, then `why`, which the peer hears as `closed`, or as `refused`
   * when it is a failure. Frames that come meanwhile are dropped.
   */
  close(why: string | Failure): void {
    if (this.#end !== null) return;
    const failure = typeof why === "string" ? null : why;
    const message = typeof why === "string" ? why : why.message;
    this.#wire.send(FRAME_TYPE.goodbye, {
      message,
      frames_handled: this.#wire.framesRead,
      ...(failure === null ? {} : { failure: failureHead(failure) }),
    });
    // All that waits is still sent.
    this.#finish({ kind: "closed_here", message, lastFrameHandled: this.#wire.framesQueued });
    // The peer ends the stream when it has read the goodbye; one that does not is cut off.
    this.#cancelLinger = this.#clock.after(PEER_CLOSE_MS, () => this.#wire.destroy());
    if (this.#handlers === null) void this.#readAll();
  }

  async #readAll(): Promise<void> {
    try {
      do {
        for (let frame = this.#wire.take(); frame !== null; frame = this.#wire.take()) {
          if (this.#end === null) this.#take(frame);
        }
      } while (await this.#wire.fill());
    } catch (error) {
      if (!isFailure(error)) throw error;
      const lastFrameHandled = this.#wire.framesSent;
      return this.#stop({ kind: "bad_frame", message: error.message, lastFrameHandled });
    }
    const message = `The link to ${this.peer.node} ended without a word`;
    this.#stop({ kind: "reset", message, lastFrameHandled: this.#wire.framesSent });
  }

  #take(frame: Frame): void {
    if (frame.type === FRAME_TYPE.goodbye) return this.#stop(readGoodbye(frame));
    if (frame.type < FRAME_TYPE.user) {
      throw new Failure("invalid", `Cannot take a frame of type ${frame.type} in an open channel`);
    }
    this.#handlers?.onFrame(frame);
  }

  /** Cuts the stream off; says why, unless it was closed before. */
  #stop(end: ChannelEnd): void {
    this.#cancelLinger();
    this.#wire.destroy();
    if (this.#end === null) this.#finish(end);
  }

  #finish(end: ChannelEnd): void {
    this.#end = end;
    this.#handlers?.onClose(end);
  }
}

/** Why a peer closed a channel, or would not open it. Throws `invalid` for what is no goodbye. */
export function readGoodbye({ head }: Frame): ChannelEnd {
  const { message, failure, frames_handled: handled }: Record<string, unknown> = Object(head);
  if (typeof message !== "string" || !Number.isSafeInteger(handled)) {
    throw new Failure("invalid", "Cannot read the goodbye of a peer");
  }
  const lastFrameHandled = Number(handled);
  if (failure === undefined) return { kind: "closed", message, lastFrameHandled };
  return { kind: "refused", message, failure: readFailure(failure), lastFrameHandled };
}
