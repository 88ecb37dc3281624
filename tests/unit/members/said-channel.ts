/** A channel whose other end is the test. */
import type { LinkEnd, LinkFrame, PeerChannel } from "../../../src/members/message.ts";

export class SaidChannel implements PeerChannel {
  readonly peer: PeerChannel["peer"];
  lastInputMs = 0;
  /** What was sent: type and head. */
  readonly sent: { readonly type: number; readonly head: unknown; readonly bytes: number }[] = [];
  closed: string | null = null;
  #handlers: Parameters<PeerChannel["start"]>[0] | null = null;

  constructor(node: string, process = `process of ${node}`) {
    this.peer = { node, process };
  }

  start(handlers: Parameters<PeerChannel["start"]>[0]): void {
    this.#handlers = handlers;
  }

  send(type: number, head: unknown, tail?: Uint8Array): boolean {
    if (this.closed !== null) return false;
    // As JSON, as the other end gets it.
    this.sent.push({ type, head: JSON.parse(JSON.stringify(head)), bytes: tail?.length ?? 0 });
    return true;
  }

  close(why: string): void {
    this.end({ kind: "closed_here", message: why });
  }

  /** The other end says something. */
  say(type: number, head: unknown, nowMs: number, tail = new Uint8Array()): void {
    this.lastInputMs = nowMs;
    this.#handlers?.onFrame({ type, head, tail } as LinkFrame);
  }

  end(end: LinkEnd): void {
    if (this.closed !== null) return;
    this.closed = end.message;
    this.#handlers?.onClose(end);
  }

  /** Heads of what was sent with this type. */
  heads(type: number): unknown[] {
    return this.sent.filter((frame) => frame.type === type).map(({ head }) => head);
  }
}
