/**
 * Clients that write one row after another at whichever of some nodes takes writes, until they are
 * told to stop. Some send with an idempotency key, again and again until they are certain; the
 * others send each row once, whatever becomes of it.
 */
import type { Client } from "./client.ts";
import type { History } from "./history.ts";
import type { NodeProcess } from "./node-process.ts";

export interface WritersOptions {
  readonly count: number;
  /** Number of the first one in the history; its rows are its own. */
  readonly firstClient?: number;
  /** Every so-manieth sends with a key; 0 for none. */
  readonly withKeyEvery?: number;
  /** Between two rows of one client. */
  readonly pauseMs?: number;
}

const TIMEOUT_MS = 1_000;
/** After a refusal, before the other node is asked. */
const REFUSED_PAUSE_MS = 20;

export class Writers {
  readonly #running: Promise<void>[];
  #isOver = false;

  constructor(
    nodes: readonly NodeProcess[],
    history: History,
    { count, firstClient = 0, withKeyEvery = 2, pauseMs = 0 }: WritersOptions,
  ) {
    this.#running = Array.from({ length: count }, async (_, index) => {
      const clients = nodes.map((node) => node.client());
      const hasKey = withKeyEvery > 0 && index % withKeyEvery === 0;
      await this.#write(clients, history, { client: firstClient + index, hasKey, pauseMs });
      for (const client of clients) client.close();
    });
  }

  /** Resolves when the last write of each has its answer. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  async #write(
    clients: readonly Client[],
    history: History,
    { client, hasKey, pauseMs }: { client: number; hasKey: boolean; pauseMs: number },
  ): Promise<void> {
    let at = client % clients.length;
    for (let number = 1; !this.#isOver; number++) {
      const write = { client, number, ...(hasKey ? { key: `${client}-${number}` } : {}) };
      while (true) {
        const outcome = await history.write(clients[at]!, write, { timeout_ms: TIMEOUT_MS });
        if (outcome === "acknowledged") break;
        at = (at + 1) % clients.length;
        await Bun.sleep(REFUSED_PAUSE_MS);
        if (!hasKey || this.#isOver) break;
      }
      if (pauseMs > 0) await Bun.sleep(pauseMs);
    }
  }
}
