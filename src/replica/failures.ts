/** What clients of a replica are told, in one place, since several parts say the same. */
import { describe, Failure } from "../base/failure.ts";
import { POLL_MS_MAX } from "../base/limits.ts";
import type { ReplicaState } from "./lifecycle.ts";

export function fenced(database: string, leader?: string): Failure {
  return new Failure(
    "elsewhere",
    `This node does not own ${database}; ${leader ?? "another node"} does`,
    leader === undefined ? {} : { leader },
  );
}

export function dropped(database: string): Failure {
  return new Failure("missing", `The database ${database} was dropped`);
}

/** The epoch was taken by somebody else, but an attempt at ours had no answer. */
export function lostInDoubt(database: string): Failure {
  return new Failure(
    "uncertain",
    `Cannot tell whether the write to ${database} was kept: another node has taken the chain ` +
      "after an attempt whose answer was lost",
  );
}

export function endedInDoubt(database: string, epoch: number, cause: unknown): Failure {
  return new Failure(
    "uncertain",
    `Cannot tell whether epoch ${epoch} of ${database} was kept: the node is stopping`,
    { cause },
  );
}

/** The epoch is durable, but this node has no image of it: it reads one from the store. */
export function notServed(database: string, epoch: number, cause: unknown): Failure {
  return new Failure("uncertain", `Cannot serve epoch ${epoch} of ${database}, which was kept`, {
    cause,
  });
}

export function unproved(database: string, cause: unknown): Failure {
  return new Failure(
    "uncertain",
    `Cannot tell whether the answer from ${database} still holds: the store did not answer`,
    { cause },
  );
}

export function workspaceFailed(database: string, cause: unknown): Failure {
  return new Failure(
    "unavailable",
    `Cannot execute the write to ${database}: its workspace failed; nothing was done`,
    { cause, retryAfterMs: 1_000 },
  );
}

export function readersHoldBack(database: string, bytes: number): Failure {
  return new Failure(
    "busy",
    `Cannot write to ${database}: its readers hold back ${bytes} bytes of durable epochs`,
    { retryAfterMs: 250 },
  );
}

export function rebuilt(database: string, cause: unknown): Failure {
  const message = `${database} is rebuilt from the store`;
  return new Failure("unavailable", message, { cause, retryAfterMs: 1_000 });
}

export function unreadable(
  database: string,
  state: ReplicaState,
  damage: Failure | null,
): Failure {
  const message = `Cannot read ${database}: its replica is ${state}`;
  if (state !== "corrupt") return new Failure("unavailable", message, { retryAfterMs: 1_000 });
  const options = { cause: damage, retryAfterMs: POLL_MS_MAX };
  return new Failure("corrupt", `${message}: ${describe(damage)}`, options);
}
