/** Takes and rewrites: what is asked of the child, and what its answer becomes for the owner. */
import type { Deferred } from "../base/deferred.ts";
import type { PendingBatch, Sending } from "./pending-batch.ts";
import type { RewriteOptions, Rewritten, Taken, TakeOptions } from "./workspace.ts";
import type { FromWriter, ToWriter, WriterEpoch } from "./writer-message.ts";
import { readBytes } from "./writer-output.ts";

export interface Taking {
  readonly batch: PendingBatch;
  readonly options: TakeOptions;
  readonly done: Deferred<Taken>;
  isSent: boolean;
}

export function executeMessage(
  { serial, requests }: Sending,
  alone: boolean,
  epochBytesMax: number,
) {
  return { kind: "execute", serial, alone, epochBytesMax, requests } as const;
}

export function takeMessage(options: TakeOptions, epochBytesMax: number): ToWriter {
  return {
    kind: "take",
    epochKind: options.kind,
    timestampMs: options.timestampMs,
    nodeId: String(options.nodeId),
    epochBytesMax,
  };
}

/** Reads the epoch's bytes and settles the take. */
export async function finishTake(
  { batch, done }: Taking,
  epoch: WriterEpoch | null,
): Promise<void> {
  const { answers, putOff } = await batch.outcomes();
  if (epoch === null) return done.resolve({ epoch: null, answers, putOff });
  const bytes = await readBytes(epoch.bytes);
  done.resolve({
    epoch: {
      bytes,
      fileChecksum: BigInt(epoch.fileChecksum),
      number: epoch.epoch,
      databaseChecksum: BigInt(epoch.databaseChecksum),
      timestampMs: epoch.timestampMs,
    },
    answers,
    putOff,
  });
}

export function rewriteMessage(options: RewriteOptions): ToWriter {
  return {
    kind: "rewrite",
    sourcePath: options.source === "empty" ? null : options.source.path,
    keepRequests: options.keepRequests,
    epochKind: options.kind,
    timestampMs: options.timestampMs,
    nodeId: String(options.nodeId),
  };
}

export function rewrittenOf(message: Extract<FromWriter, { kind: "rewritten" }>): Rewritten {
  const { path, size, number, fileChecksum, databaseChecksum, timestampMs } = message;
  return {
    path,
    size,
    number,
    fileChecksum: BigInt(fileChecksum),
    databaseChecksum: BigInt(databaseChecksum),
    timestampMs,
  };
}
