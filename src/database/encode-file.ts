/** Encodes a whole SQLite file as one object, in a process of its own. */
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
  try {
    child.send(orderOf(source, target, header));
    const result = await outcome.promise;
    if ("failure" in result) throw toFailure(result.failure);
    return { path: target, size: result.size, fileChecksum: BigInt(result.fileChecksum) };
  } finally {
    child.kill();
    await child.exited;
  }
}
