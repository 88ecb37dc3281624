/**
 * The circuit breaker of admin changes: while the cluster elects, its store fails or its backups are
 * overdue, nothing is changed that an operator would have to undo. Reads, writes and ingestion go on,
 * and so does setting a drained node active again. Pure: facts and time in, the state out.
 */
import { Failure } from "../base/failure.ts";

export type BreakerReason = "election" | "store" | "backup";

export type Breaker =
  | { readonly state: "closed" }
  | { readonly state: "open"; readonly reason: BreakerReason; readonly sinceMs: number }
  /** The reason is gone: the next change is a trial, one at a time. */
  | { readonly state: "half_open"; readonly reason: BreakerReason; readonly isTrying: boolean };

export interface BreakerFacts {
  /** Admin changes are made here: nowhere else can one be a trial. */
  readonly isLeading: boolean;
  readonly isElecting: boolean;
  /** For how long no request to the store has succeeded while some failed. */
  readonly storeFailingMs: number;
  /** A database has changes, and its newest verified snapshot is older than it may be. */
  readonly isBackupOverdue: boolean;
}

/** A store that has failed for longer than this is failing. */
export const STORE_FAILING_MS = 5_000;
const RETRY_MS: Readonly<Record<BreakerReason, number>> = {
  election: 1_000,
  store: 5_000,
  backup: 60_000,
};

const CLOSED: Breaker = { state: "closed" };

/** The state as of these facts. */
export function breakerSees(breaker: Breaker, facts: BreakerFacts, nowMs: number): Breaker {
  const reason = reasonOf(facts);
  if (reason !== null) {
    if (breaker.state === "open" && breaker.reason === reason) return breaker;
    return { state: "open", reason, sinceMs: nowMs };
  }
  if (!facts.isLeading) return CLOSED;
  if (breaker.state !== "open") return breaker;
  return { state: "half_open", reason: breaker.reason, isTrying: false };
}

/** A change wants to begin: the state with it, or why it may not. */
export function breakerAdmits(breaker: Breaker): Breaker | Failure {
  if (breaker.state === "closed") return breaker;
  if (breaker.state === "half_open" && !breaker.isTrying) return { ...breaker, isTrying: true };
  const { reason } = breaker;
  const why = breaker.state === "open" ? TEXTS[reason] : `${TEXTS[reason]} until just now`;
  return new Failure("unavailable", `No admin changes now: ${why}`, {
    details: { reason },
    retryAfterMs: RETRY_MS[reason],
  });
}

/** A change has ended; `failed` if it met what the breaker is there for. */
export function breakerTried(breaker: Breaker, failed: boolean, nowMs: number): Breaker {
  if (breaker.state !== "half_open" || !breaker.isTrying) return breaker;
  return failed ? { state: "open", reason: breaker.reason, sinceMs: nowMs } : { state: "closed" };
}

const TEXTS: Readonly<Record<BreakerReason, string>> = {
  election: "the cluster elects a leader",
  store: "the store fails",
  backup: "a snapshot or its verification is overdue",
};

function reasonOf(facts: BreakerFacts): BreakerReason | null {
  if (facts.isElecting) return "election";
  if (facts.storeFailingMs > STORE_FAILING_MS) return "store";
  return facts.isBackupOverdue ? "backup" : null;
}
