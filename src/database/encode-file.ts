/** Encodes a whole SQLite file as one object, in a process of its own. */
import { rmSync } from "node:fs";
import { deferred } from "../base/deferred.ts";
import { Failure } from "../base/failure.ts";
import type { Children } from "./child.ts";
import { type EncodeOutcome, orderOf } from "./encoder-message.ts";
import type { EncodedFile, SnapshotHeader } from "./snapshot-file.ts";
import { toFailure } from "./sql-error.ts";

export interface EncodeOptions {
  /** A SQLite file that nobody changes, page 1 in its canonical form. */
  readonly source: string;
  /** A new file; the caller removes it. It is not there when encoding fails. */
  readonly target: string;
  readonly header: SnapshotHeader;
}

/**
 * Rejects with `corrupt` when the file has not the header's size and checksum, and `unavailable`
 * when the process is killed.
 */
export async function encodeFile(children: Children, options: EncodeOptions): Promise<EncodedFile> {
  const { source, target, header } = options;
  const outcome = deferred<EncodeOutcome>();
  const child = children.start("encoder", {
    onMessage: (message) => outcome.resolve(message as EncodeOutcome),
    onExit: () =>
      outcome.reject(
        new Failure("unavailable", `Cannot encode ${source}: the process that did it has ended`),
      ),
  });
  let isDone = false;
  try {
    child.send(orderOf(source, target, header));
    const result = await outcome.promise;
    if ("failure" in result) throw toFailure(result.failure);
    isDone = true;
    return { path: target, size: result.size, fileChecksum: BigInt(result.fileChecksum) };
  } finally {
    child.kill();
    await child.exited;
    // One that was killed has left what it had written.
    if (!isDone) rmSync(target, { force: true });
  }
}
