/**
 * A store that several nodes share and that a test takes away from some of them and gives back: a
 * directory, which each node reaches by a link of its own, or a bucket, which each reaches through a
 * proxy of its own.
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { S3Settings } from "../../src/store/url.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import type { S3Server } from "./s3-server.ts";

export interface BreakableStore {
  /** For the next node. */
  way(): Promise<Way>;
  /** For the test itself, which nothing breaks. */
  readonly whole: string | S3Settings;
  stop(): Promise<void>;
}

/** How one node reaches the store. */
export interface Way {
  readonly store: string | S3Settings;
  break(): Promise<void>;
  mend(): Promise<void>;
}

export function breakableDirectory(folder: string): BreakableStore {
  const store = join(folder, `breakable-${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(store, { recursive: true });
  let ways = 0;
  return {
    whole: `file://${store}`,
    stop: () => Promise.resolve(),
    way: () => {
      const link = `${store}-way-${++ways}`;
      const point = (at: string) => {
        rmSync(link, { force: true });
        symlinkSync(at, link);
        return Promise.resolve();
      };
      symlinkSync(store, link);
      return Promise.resolve({
        store: `file://${link}`,
        break: () => point(`${store}-nowhere`),
        mend: () => point(store),
      });
    },
  };
}

export function breakableBucket(server: S3Server): BreakableStore {
  const whole = server.settings();
  const proxies: FaultProxy[] = [];
  return {
    whole,
    stop: async () => {
      for (const proxy of proxies) await proxy.stop();
    },
    way: async () => {
      const proxy = await startFaultProxy(Number(new URL(server.endpoint).port));
      proxies.push(proxy);
      return {
        store: { ...whole, endpoint: proxy.endpoint },
        break: () => proxy.refuse(true),
        mend: () => proxy.refuse(false),
      };
    },
  };
}
