/** What a command does by access to the bucket alone: no node is asked. */
import { existsSync } from "node:fs";
import { Failure } from "../base/failure.ts";
import { silentLog } from "../base/log.ts";
import { type MintedToken, mintToken, type TokenRequest } from "../http/token.ts";
import { readClusterSecret } from "../server/cluster-files.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { openStore } from "../store/open.ts";
import { retrying } from "../store/retry.ts";
import type { Store } from "../store/store.ts";
import { fullPath, storeUrl } from "../store/url.ts";
import type { ParsedArguments } from "./arguments.ts";
import { configOf } from "./settings.ts";

/** Options that name a bucket. */
export const BUCKET_OPTIONS: readonly string[] = ["config", "store", "set"];

export function namesBucket(args: ParsedArguments): boolean {
  return BUCKET_OPTIONS.some((name) => args.has(name));
}

/** Opens the bucket that the options name for as long as `work` takes. Throws `missing` for none. */
export async function inBucket<T>(
  args: ParsedArguments,
  around: Surroundings,
  work: (store: Store, name: string) => Promise<T>,
): Promise<T> {
  const { clock, random } = around;
  const backend = configOf(args, around).storage.primary_backend;
  const name = storeUrl(backend);
  // Opening a directory would make it.
  if (backend.type === "filesystem" && !existsSync(fullPath(backend))) throw noCluster(name);
  const parts = { clock, random, log: silentLog };
  const store = retrying(await openStore(backend, parts), parts);
  try {
    return await work(store, name);
  } finally {
    await store.close();
  }
}

/** By the cluster's secret and the store's time. */
export async function mintIn(
  store: Store,
  name: string,
  request: TokenRequest,
  { clock, random }: Surroundings,
): Promise<MintedToken> {
  const secret = await readClusterSecret(store);
  if (secret === null) throw noCluster(name);
  const issuedAtMs = clock.nowMs() + store.clockOffsetMs();
  return mintToken(secret, request, { issuedAtMs, random });
}

function noCluster(store: string): Failure {
  return new Failure(
    "missing",
    `There is no cluster in ${store} yet, and so no secret to sign a token with: start a node ` +
      `on it first, headgate serve --store '${store}', or look whether the URL is right`,
  );
}
