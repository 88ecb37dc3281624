/**
 * What a transaction saw of a statement where it was rehearsed. The owner runs the statement again
 * and compares: while all results are the same, whoever decided by them would have decided so here
 * too (docs/decisions, "transactions in process").
 */
import { Failure, isFailure } from "../base/failure.ts";

/** The statement failed: the request must fail at it too. */
export const EXPECTS_FAILURE = "failure";
/** What decided to give up is asked whether all before was as it saw it; no result is this. */
export const EXPECTS_NOTHING = "nothing";

/** Reason in the details of the `conflict` that a request with another result ends with. */
export const CHANGED = "changed";

/** A result as an expectation; `text` is the result's JSON. */
export function expectationOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("base64url");
}

/** Throws `conflict` for a result that is not the expected one. */
export function checkExpected(expect: string, text: string): void {
  if (expect === expectationOf(text)) return;
  throw new Failure("conflict", "its result is not what the transaction saw", {
    details: { reason: CHANGED },
  });
}

export interface Change {
  /** Index of the statement that had another result. */
  readonly statement: number;
  /** The change is in this epoch or an earlier one. */
  readonly epoch: number;
}

/** Null for every other failure. */
export function changeIn(error: unknown): Change | null {
  if (!isFailure(error, "conflict") || error.details?.["reason"] !== CHANGED) return null;
  const { statement, epoch } = error.details;
  return { statement: Number(statement), epoch: Number(epoch) };
}
