/** A standard SQLite file of a moment in a chain's history, read from the store. */
import { Failure } from "../base/failure.ts";
import type { ImageHead } from "../database/image.ts";
import type { Chain } from "./chain.ts";
import { joinChain } from "./join.ts";
import type { Parts } from "./parts.ts";

/** Writes the database as of the end of `epoch` to `path`, a new file. */
export async function exportEpoch(
  parts: Parts,
  chain: Chain,
  epoch: number,
  path: string,
): Promise<ImageHead> {
  const joined = await joinChain(parts, chain, {
    until: epoch,
    build: (pageSize) => parts.createFile(path, pageSize),
  });
  if (!joined || joined.head.epoch !== epoch) {
    if (joined) await joined.builder.abandon();
    throw new Failure("missing", `Epoch ${epoch} of ${chain.name} can no longer be restored`);
  }
  await joined.builder.finishFile(joined.head);
  return joined.head;
}
