/** A URL or settings → a store. The only place that knows all implementations. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { openFileStore } from "./file.ts";
import type { LifecycleReport } from "./lifecycle.ts";
import type { Store } from "./store.ts";
import { fullPath, parseStoreUrl, type StoreSettings } from "./url.ts";

export interface OpenParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Opens the store itself; `retrying`, `metered` and `delayed` go around it. An S3 store sends
 * nothing yet, so a wrong bucket or key shows at the first request. Throws `invalid` for settings
 * that cannot be right, and what the file system says for a directory that cannot be opened.
 */
export async function openStore(where: string | StoreSettings, parts: OpenParts): Promise<Store> {
  const settings = typeof where === "string" ? parseStoreUrl(where) : where;
  if (settings.type === "filesystem") return await openFileStore(fullPath(settings), parts);
  // The SDK takes 30 ms and 20 MB to load: a node on a directory does not pay for it.
  const { openS3Store } = await import("./s3.ts");
  return openS3Store(settings, parts);
}

/**
 * What the store's own rules would do to a cluster's objects (I12), for `doctor`. A directory has
 * none.
 */
export async function checkLifecycle(
  where: string | StoreSettings,
  clock: Clock,
): Promise<LifecycleReport> {
  const settings = typeof where === "string" ? parseStoreUrl(where) : where;
  if (settings.type === "filesystem") return { state: "harmless", reasons: [] };
  const { s3Lifecycle } = await import("./s3-lifecycle.ts");
  return await s3Lifecycle(settings, clock);
}
