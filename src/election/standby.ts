/**
 * When a node that does not lead claims `system` (PROTOCOL section 8): the network detects, the store
 * decides. Pure: an event and the time in, the next state and what to do out. Claiming is always
 * safe, so this decides only about claiming soon, once, and not without need.
 *
 * Two ways lead to a claim. A process that is *gone* closes its link and refuses the next one; then
 * the other nodes are asked, since a firewall refuses too. A leader that is *silent*, or has lost its
 * store, is held against the store: if its heartbeat and its chain stand still, it is claimed.
 */
import { noProgress, sawStore, type Watch, watchFrom } from "./watch.ts";

export interface StandbyFacts {
  /** False on a node that may not lead: it follows and never claims. */
  readonly eligible: boolean;
  /** Place among the nodes that would claim now: 0 claims first. */
  readonly rank: number;
  /** No claim before (monotonic): this node was deposed soon after its last one. */
  readonly quietUntilMs: number;
  /** How long the store must stand still where `leader.json` does not say how often it moves. */
  readonly staleMs: number;
}

export type Standby =
  /** A link to the leader stands; the last of its bytes came at `inputAtMs`. */
  | { readonly kind: "linked"; readonly inputAtMs: number }
  /** The link is open, but the leader is silent or says that it has no store: the store will tell. */
  | {
    readonly kind: "watching";
    readonly why: "silent" | "storeless";
    readonly inputAtMs: number;
    readonly watch: Watch;
  }
  /** No link: the leader is called again and again, and the store is looked at. */
  | {
    readonly kind: "apart";
    readonly dialAtMs: number;
    /** When the link was closed or refused, if nothing came between. */
    readonly refusedAtMs: number | null;
    readonly watch: Watch;
  }
  /** The leader's process seems gone; the other nodes are asked whether they see it. */
  | { readonly kind: "asking" }
  /** Waits for its rank. */
  | { readonly kind: "candidate"; readonly claimAtMs: number; readonly reason: string }
  /** `losses`: claims lost to data of the owner believed gone. */
  | { readonly kind: "claiming"; readonly reason: string; readonly losses: number };

export type StandbyEvent =
  /** A link to whoever made the newest known claim stands, proved on both sides (I13). */
  | { readonly kind: "linked" }
  /** Something came over the link, last at `atMs`. */
  | { readonly kind: "input"; readonly atMs: number }
  /** The link ended: closed or reset by the other side, or it broke without a word. */
  | { readonly kind: "unlinked"; readonly by: "close" | "silence" }
  /** A call was refused, or answered by somebody who does not lead. */
  | { readonly kind: "refused" }
  /** A call was taken and then cut off: its process may be dying, or be too busy for strangers. */
  | { readonly kind: "reset" }
  /** A call had no answer. */
  | { readonly kind: "unanswered" }
  /** All nodes that could be asked have answered, or their time is over. */
  | { readonly kind: "asked"; readonly isSeen: boolean }
  /** A look at the store that succeeded; `intervalMs` is what `leader.json` states, if it is there. */
  | { readonly kind: "store"; readonly seen: string; readonly intervalMs: number | null }
  /** The leader says that its store fails, and this node's does not; or all is well again. */
  | { readonly kind: "leader_store"; readonly isFailing: boolean }
  /** A newer claim was applied. */
  | { readonly kind: "claimed" }
  /** The owner has resigned. */
  | { readonly kind: "resigned" }
  /** Our claim was lost: to a newer claim, or to data of the owner. */
  | { readonly kind: "lost"; readonly to: "claim" | "data" }
  /** Our claim could not be tried or its outcome was never learned. */
  | { readonly kind: "failed" }
  /** This process stood still: silence proves nothing (I11). */
  | { readonly kind: "stalled" }
  | { readonly kind: "tick" };

export type StandbyAction =
  | { readonly kind: "dial" }
  | { readonly kind: "ask" }
  | { readonly kind: "look" }
  | { readonly kind: "claim"; readonly reason: string };

export interface StandbyStep {
  readonly state: Standby;
  readonly actions: readonly StandbyAction[];
}

/** Without input for so long a link is silent. */
export const SILENCE_MS = 3_000;
/** Refused twice within this time: the process is gone. */
export const REFUSED_TWICE_MS = 300;
/** Between the candidates after a leader that is gone, and after one that resigned. */
export const RANK_MS = 150;
export const RESIGNED_RANK_MS = 500;
const REDIAL_SOON_MS = 100;
const REDIAL_MS = 1_000;

/** A node that has no link yet: it calls the owner at once. */
export function beginStandby(nowMs: number, facts: StandbyFacts): StandbyStep {
  return { state: apart(nowMs, nowMs, watchFrom(nowMs, facts.staleMs)), actions: [] };
}

/** When a `tick` is due: never for a state that waits for something else. */
export function standbyWakesAtMs(state: Standby): number {
  switch (state.kind) {
    case "linked":
      return state.inputAtMs + SILENCE_MS;
    case "watching":
      return state.watch.lookAtMs;
    case "apart":
      return Math.min(state.dialAtMs, state.watch.lookAtMs);
    case "candidate":
      return state.claimAtMs;
    default:
      return Infinity;
  }
}

/** One event at `nowMs` (monotonic). */
export function standbyStep(
  state: Standby,
  event: StandbyEvent,
  nowMs: number,
  facts: StandbyFacts,
): StandbyStep {
  switch (event.kind) {
    case "linked":
      return still({ kind: "linked", inputAtMs: nowMs });
    case "input":
      return still(withInput(state, event.atMs));
    case "unlinked":
      return unlinked(state, event.by, nowMs);
    case "refused":
      return refused(state, nowMs, facts);
    case "reset":
      if (state.kind !== "apart") return still(state);
      return still({ ...state, refusedAtMs: nowMs, dialAtMs: nowMs + REDIAL_SOON_MS });
    case "unanswered":
      if (state.kind !== "apart") return still(state);
      return still({ ...state, refusedAtMs: null, dialAtMs: nowMs + REDIAL_MS });
    case "asked":
      return asked(state, event.isSeen, nowMs, facts);
    case "store":
      return looked(state, event, nowMs, facts);
    case "leader_store":
      return leaderStore(state, event.isFailing, nowMs);
    case "claimed":
      // What becomes of our own is told by its outcome.
      return state.kind === "claiming" ? still(state) : calling(nowMs, facts);
    case "resigned":
      if (state.kind === "claiming" || !facts.eligible) return still(state);
      return candidate("the leader resigned", facts.rank * RESIGNED_RANK_MS, nowMs, facts);
    case "lost":
      return lost(state, event.to, nowMs, facts);
    case "failed":
      return still(apart(nowMs, nowMs + REDIAL_MS, watchFrom(nowMs, facts.staleMs)));
    case "stalled":
      return stalled(state, nowMs, facts);
    case "tick":
      return tick(state, nowMs);
  }
}

function withInput(state: Standby, atMs: number): Standby {
  if (state.kind !== "linked" && state.kind !== "watching") return state;
  if (atMs <= state.inputAtMs) return state;
  // One that has lost its store goes on talking.
  const isBack = state.kind === "watching" && state.why === "silent";
  return isBack ? { kind: "linked", inputAtMs: atMs } : { ...state, inputAtMs: atMs };
}

function unlinked(state: Standby, by: "close" | "silence", nowMs: number): StandbyStep {
  if (state.kind !== "linked" && state.kind !== "watching") return still(state);
  const watch = state.kind === "watching" ? state.watch : watchFrom(nowMs, SILENCE_MS);
  // Its process may be gone, which the next call will tell; for the first time it was told just now.
  const refusedAtMs = by === "close" ? nowMs : null;
  return due({ kind: "apart", dialAtMs: nowMs, refusedAtMs, watch }, nowMs);
}

function refused(state: Standby, nowMs: number, facts: StandbyFacts): StandbyStep {
  if (state.kind !== "apart") return still(state);
  const again = state.refusedAtMs !== null && nowMs - state.refusedAtMs <= REFUSED_TWICE_MS;
  if (again && facts.eligible) return { state: { kind: "asking" }, actions: [{ kind: "ask" }] };
  const dialAtMs = nowMs + (again ? REDIAL_MS : REDIAL_SOON_MS);
  return still({ ...state, refusedAtMs: again ? null : nowMs, dialAtMs });
}

function asked(state: Standby, isSeen: boolean, nowMs: number, facts: StandbyFacts): StandbyStep {
  if (state.kind !== "asking") return still(state);
  // Refused is not dead: somebody hears the leader, and only the way to it is closed.
  if (isSeen) return still(apart(nowMs, nowMs + REDIAL_MS, watchFrom(nowMs, facts.staleMs)));
  return candidate("its process is gone", facts.rank * RANK_MS, nowMs, facts);
}

function looked(
  state: Standby,
  { seen, intervalMs }: { readonly seen: string; readonly intervalMs: number | null },
  nowMs: number,
  facts: StandbyFacts,
): StandbyStep {
  if (state.kind !== "watching" && state.kind !== "apart") return still(state);
  const watch = sawStore(state.watch, { seen, intervalMs, nowMs });
  if (!noProgress(watch, nowMs) || !facts.eligible) return still({ ...state, watch });
  const stillMs = Math.round(nowMs - watch.movedAtMs);
  const what = state.kind === "watching" && state.why === "storeless"
    ? "it has lost its store"
    : "it is silent";
  const reason = `${what}, and its heartbeat and chain stood still for ${stillMs} ms`;
  return candidate(reason, facts.rank * RANK_MS, nowMs, facts);
}

function leaderStore(state: Standby, isFailing: boolean, nowMs: number): StandbyStep {
  if (isFailing && state.kind === "linked") {
    const watch = watchFrom(nowMs, SILENCE_MS);
    return due({ kind: "watching", why: "storeless", inputAtMs: nowMs, watch }, nowMs);
  }
  if (!isFailing && state.kind === "watching" && state.why === "storeless") {
    return still({ kind: "linked", inputAtMs: nowMs });
  }
  return still(state);
}

function lost(
  state: Standby,
  to: "claim" | "data",
  nowMs: number,
  facts: StandbyFacts,
): StandbyStep {
  if (state.kind !== "claiming" || to === "claim") return calling(nowMs, facts);
  // The last PUT of a dead process may land after it. A second one is nobody's who is dead (I2).
  if (state.losses > 0) return still(apart(nowMs, nowMs, watchFrom(nowMs, facts.staleMs)));
  return { state: { ...state, losses: 1 }, actions: [{ kind: "claim", reason: state.reason }] };
}

function stalled(state: Standby, nowMs: number, facts: StandbyFacts): StandbyStep {
  switch (state.kind) {
    case "linked":
    case "watching":
      return still({ kind: "linked", inputAtMs: nowMs });
    case "apart":
      return still(apart(nowMs, nowMs, watchFrom(nowMs, state.watch.waitMs)));
    case "asking":
    case "candidate":
      return calling(nowMs, facts);
    case "claiming":
      return still(state);
  }
}

function tick(state: Standby, nowMs: number): StandbyStep {
  if (nowMs < standbyWakesAtMs(state)) return still(state);
  if (state.kind === "candidate") {
    const { reason } = state;
    return { state: { kind: "claiming", reason, losses: 0 }, actions: [{ kind: "claim", reason }] };
  }
  if (state.kind === "linked") {
    const watch = watchFrom(nowMs, SILENCE_MS);
    const { inputAtMs } = state;
    return due({ kind: "watching", why: "silent", inputAtMs, watch }, nowMs);
  }
  return due(state, nowMs);
}

/** What the state wants done by now, put off to its next time. */
function due(state: Standby, nowMs: number): StandbyStep {
  if (state.kind !== "watching" && state.kind !== "apart") return still(state);
  const actions: StandbyAction[] = [];
  let next: Standby = state;
  if (next.kind === "apart" && nowMs >= next.dialAtMs) {
    actions.push({ kind: "dial" });
    // Its outcome sets the next time.
    next = { ...next, dialAtMs: Infinity };
  }
  if (nowMs >= next.watch.lookAtMs) {
    actions.push({ kind: "look" });
    next = { ...next, watch: { ...next.watch, lookAtMs: nowMs + next.watch.everyMs } };
  }
  return { state: next, actions };
}

/** A new owner is known, or may be: it is called at once, and the store is watched from now. */
function calling(nowMs: number, facts: StandbyFacts): StandbyStep {
  return due(apart(nowMs, nowMs, watchFrom(nowMs, facts.staleMs)), nowMs);
}

/** Whoever need not wait claims at once: a timer would be one more turn of a busy process. */
function candidate(why: string, waitMs: number, nowMs: number, facts: StandbyFacts): StandbyStep {
  const claimAtMs = Math.max(nowMs + waitMs, facts.quietUntilMs);
  return tick({ kind: "candidate", reason: why, claimAtMs }, nowMs);
}

function apart(nowMs: number, dialAtMs: number, watch: Watch): Standby {
  return { kind: "apart", dialAtMs: Math.max(nowMs, dialAtMs), refusedAtMs: null, watch };
}

function still(state: Standby): StandbyStep {
  return { state, actions: [] };
}
