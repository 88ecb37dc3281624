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
  /** Since when no link stands, or others were last looked for; null while one does. */
  readonly alone: number | null;
  /** After so long without a link it looks whether there are others. */
  readonly lookAfterMs: number;
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
/** A node that is alone by intent looks for others as often as it writes its own file. */
const LOOK_MS_MAX = 600_000;
/**
 * Whoever resigned for want of links claims again no sooner: by then the others have looked at the
 * store, which they do twice a second while it beats each second, and had their turns.
 */
export const MAKE_WAY_MS = 3_000;

export interface LeadBegin {
  /** False for a leader that has resigned for want of links and had none since. */
  readonly mayResign: boolean;
  /** Another node led before: it may not know, and others may not have heard of this one. */
  readonly isSuccessor: boolean;
}

export function beginLead(nowMs: number, { mayResign, isSuccessor }: LeadBegin): Lead {
  const urgentUntilMs = isSuccessor ? nowMs + URGENT_MS : -Infinity;
  return { beatAtMs: nowMs, urgentUntilMs, alone: nowMs, lookAfterMs: ALONE_MS, mayResign };
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
  let alone = facts.links > 0 ? null : lead.alone ?? nowMs;
  let lookAfterMs = facts.links > 0 ? ALONE_MS : lead.lookAfterMs;
  const mayResign = lead.mayResign || facts.links > 0;
  if (alone !== null && mayResign && nowMs - alone >= lookAfterMs) {
    actions.push({ kind: "resign_if_others" });
    // Others may start later, or the store may not have said.
    alone = nowMs;
    lookAfterMs = Math.min(2 * lookAfterMs, LOOK_MS_MAX);
  }
  return { lead: { beatAtMs, urgentUntilMs, alone, lookAfterMs, mayResign }, actions };
}
