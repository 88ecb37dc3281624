/**
 * The status of the cluster as server-sent events (WHATWG HTML, section 9.2): one at once, one soon
 * after each change, and a comment now and then, so that both ends notice when the other is gone.
 */
import { Failure } from "../base/failure.ts";
import { EVENTS_CLIENTS_MAX } from "../base/limits.ts";
import type { HttpParts } from "./parts.ts";

/** Changes within this time are told together. */
const GATHER_MS = 50;
const COMMENT_MS = 15_000;

export class ClusterEvents {
  readonly #parts: HttpParts;
  #clients = 0;

  constructor(parts: HttpParts) {
    this.#parts = parts;
  }

  /** `check` throws when the caller may not watch any more. */
  answer(check: () => void): Response {
    if (this.#clients >= EVENTS_CLIENTS_MAX) {
      throw new Failure("busy", `${EVENTS_CLIENTS_MAX} clients watch this node already`, {
        retryAfterMs: 5_000,
      });
    }
    const { node } = this.#parts;
    // Before the answer begins, since it may fail while the node starts.
    node.cluster.status();
    return new Response(this.#stream(check), {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "headgate-epoch": `${node.systemEpoch()}`,
        "headgate-node": node.id,
      },
    });
  }

  #stream(check: () => void): ReadableStream<Uint8Array> {
    const { clock, node } = this.#parts;
    const encoder = new TextEncoder();
    let end = () => {};
    const wasDraining = node.isDraining;
    const mayWatch = () => {
      try {
        check();
        return true;
      } catch {
        // Who calls again hears why.
        return false;
      }
    };
    return new ReadableStream({
      start: (controller) => {
        this.#clients++;
        let cancelSoon: (() => void) | null = null;
        let cancelComment = () => {};
        const send = (text: string) => {
          // A client that does not read gets the next one.
          if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(text));
        };
        const status = () => {
          cancelSoon = null;
          say(`event: status\ndata: ${JSON.stringify(node.cluster.status())}\n\n`);
        };
        const say = (text: string) => {
          const mayHear = mayWatch();
          if (mayHear) send(text);
          // A drain waits for what runs, and this would run for ever.
          if (mayHear && (!node.isDraining || wasDraining)) return;
          end();
          controller.close();
        };
        const unwatch = node.cluster.watch(() => cancelSoon ??= clock.after(GATHER_MS, status));
        const comment = () => {
          cancelComment = clock.after(COMMENT_MS, comment);
          say(": alive\n\n");
        };
        cancelComment = clock.after(COMMENT_MS, comment);
        end = () => {
          unwatch();
          cancelSoon?.();
          cancelComment();
          this.#clients--;
          end = () => {};
        };
        status();
      },
      cancel: () => end(),
    }, { highWaterMark: 16 });
  }
}
