/** Why a read has no result, in the words that a client sees. */
import { Failure } from "../base/failure.ts";
import type { Image } from "./image.ts";
import type { PendingRead } from "./reader-lane.ts";

const ACTION = "Cannot run this query";

export function pastDeadline({ request, sinceMs }: PendingRead): Failure {
  const ms = Math.max(0, Math.ceil(request.deadlineMs - sinceMs));
  return new Failure("unavailable", `${ACTION}: ended at its deadline of ${ms} ms`, {
    details: { reason: "deadline" },
  });
}

export function tooMuchMemory(bytesMax: number): Failure {
  return new Failure("too_large", `${ACTION}: it took more than ${bytesMax} bytes of memory`, {
    details: { reason: "memory", memory_bytes_max: bytesMax },
  });
}

export function inTheWay(): Failure {
  return new Failure("unavailable", `${ACTION}: cancelled: conflict with replication`, {
    details: { reason: "conflict" },
    retryAfterMs: 100,
  });
}

export function processEnded(): Failure {
  return new Failure("unavailable", `${ACTION}: the process that executed it has ended`, {
    details: { reason: "process" },
  });
}

export function imageReplaced(image: Image): Failure {
  return new Failure(
    "unavailable",
    `${ACTION}: the image at epoch ${image.head.epoch} is being replaced`,
    { details: { reason: "replaced" }, retryAfterMs: 100 },
  );
}

export function nodeCloses(): Failure {
  return new Failure("unavailable", `${ACTION}: the node is closing`);
}

export function tooManyWait(reads: number): Failure {
  return new Failure("busy", `${ACTION}: ${reads} others wait`, { retryAfterMs: 100 });
}

export function tooManyResults(bytes: number): Failure {
  return new Failure("busy", `${ACTION}: ${bytes} bytes of results wait to be fetched`, {
    retryAfterMs: 1_000,
  });
}
