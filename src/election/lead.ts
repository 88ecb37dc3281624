/**
 * What a leader owes those that follow it (PROTOCOL section 8): a heartbeat in the store, each second
 * while somebody may not hear it, at an idle rhythm otherwise; and its place, when it is the one that
 * nobody can reach. Pure.
 */

export interface Lead {
  /** The next heartbeat is due (monotonic ms). */
  readonly beatAtMs: number;
  /** Until then somebody may not hear this leader, and watches the store instead. */
  readonly urgentUntilMs: number;
  /** Since when no link stands; null while one does. */
  readonly alone: number | null;
  /** It has had a link since it last resigned for want of one. */
  readonly mayResign: boolean;
}

export interface LeadFacts {
  readonly heartbeatMs: number;
  /** Links that stand, and whether one of them has not answered pings for `LATE_MS`. */
  readonly links: number;
  readonly isLate: boolean;
  /** Links that ended since the last step. */
  readonly ended: number;
}

export type LeadAction =
  /** States the time to the next one, which a watcher doubles. */
  | { readonly kind: "beat"; readonly intervalMs: number }
  /** Nobody has a link: if there are others, one of them may reach them. */
  | { readonly kind: "resign_if_others" };

/** A follower that has not answered pings for so long may not hear them either. */
export const LATE_MS = 2_000;
const URGENT_MS = 30_000;
const URGENT_BEAT_MS = 1_000;
const ALONE_MS = 10_000;

/** `mayResign` is false for a leader that has resigned for want of links and had none since. */
export function beginLead(nowMs: number, mayResign: boolean): Lead {
  return { beatAtMs: nowMs, urgentUntilMs: -Infinity, alone: nowMs, mayResign };
}

export function leadStep(
  lead: Lead,
  facts: LeadFacts,
  nowMs: number,
): { readonly lead: Lead; readonly actions: readonly LeadAction[] } {
  const actions: LeadAction[] = [];
  const isCalled = facts.isLate || facts.ended > 0;
  const wasUrgent = nowMs < lead.urgentUntilMs;
  const urgentUntilMs = isCalled ? nowMs + URGENT_MS : lead.urgentUntilMs;
  let { beatAtMs } = lead;
  // Whoever misses this leader watches for three seconds from about now.
  if (isCalled && !wasUrgent) beatAtMs = nowMs;
  if (nowMs >= beatAtMs) {
    const intervalMs = nowMs < urgentUntilMs
      ? Math.min(URGENT_BEAT_MS, facts.heartbeatMs)
      : facts.heartbeatMs;
    actions.push({ kind: "beat", intervalMs });
    beatAtMs = nowMs + intervalMs;
  }
  const alone = facts.links > 0 ? null : lead.alone ?? nowMs;
  let mayResign = lead.mayResign || facts.links > 0;
  if (alone !== null && mayResign && nowMs - alone >= ALONE_MS) {
    actions.push({ kind: "resign_if_others" });
    mayResign = false;
  }
  return { lead: { beatAtMs, urgentUntilMs, alone, mayResign }, actions };
}
