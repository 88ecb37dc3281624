/**
 * When a node that finds another node as the last owner of `system` may claim it (the end of issue
 * "one node"; links between nodes refine this later). Pure: observations in, an action out.
 * Claiming is always safe, so this decides only about claiming soon, once, and not without need.
 */

export interface TakeoverOptions {
  /** Neither `leader.json` nor the chain has moved for this long: the owner is gone. */
  readonly staleMs: number;
  /** Two refusals no further apart than this mean that the process is gone. */
  readonly refusedTwiceMs: number;
}

export interface Takeover {
  /** When `leader.json` or the chain last moved, as far as this node saw (monotonic ms). */
  readonly movedAtMs: number;
  /** What was there when it last moved. */
  readonly seen: string;
  /** When the owner's address last refused a connection, or null if it did not. */
  readonly refusedAtMs: number | null;
}

export type Observation =
  /** The owner's address refused a connection. */
  | { readonly kind: "refused" }
  /** A Headgate node answered there. */
  | { readonly kind: "answered"; readonly asOwner: boolean }
  /** Nothing answered in time, or something else did: the store will tell. */
  | { readonly kind: "silent" }
  /** The owner resigned: the newest claim names a successor or anybody. */
  | { readonly kind: "resigned" }
  /** The nonce of `leader.json` and the tip of the chain, as one text. */
  | { readonly kind: "store"; readonly seen: string };

export type TakeoverAction =
  | { readonly kind: "claim"; readonly reason: string }
  /** Look at the owner's address and the store again after this time. */
  | { readonly kind: "look"; readonly afterMs: number };

export function beginTakeover(nowMs: number): Takeover {
  return { movedAtMs: nowMs, seen: "", refusedAtMs: null };
}

/** One observation at `nowMs` (monotonic): the next state and what to do. */
export function takeoverStep(
  state: Takeover,
  observation: Observation,
  nowMs: number,
  options: TakeoverOptions,
): { readonly state: Takeover; readonly action: TakeoverAction } {
  switch (observation.kind) {
    case "resigned":
      return { state, action: { kind: "claim", reason: "the owner resigned" } };
    case "answered":
      return observation.asOwner
        ? { state: { ...state, refusedAtMs: null }, action: { kind: "look", afterMs: LOOK_MS } }
        : { state, action: { kind: "claim", reason: "another node answers at its address" } };
    case "refused": {
      const again = state.refusedAtMs !== null &&
        nowMs - state.refusedAtMs <= options.refusedTwiceMs;
      if (again) {
        return { state, action: { kind: "claim", reason: "its address refuses connections" } };
      }
      const afterMs = options.refusedTwiceMs / 3;
      return { state: { ...state, refusedAtMs: nowMs }, action: { kind: "look", afterMs } };
    }
    case "silent":
      return { state: { ...state, refusedAtMs: null }, action: { kind: "look", afterMs: LOOK_MS } };
    // Only who has just looked at the store may say that nothing moved: this node may have slept.
    case "store": {
      const moved = state.seen !== observation.seen;
      const next = moved ? { ...state, seen: observation.seen, movedAtMs: nowMs } : state;
      return judge(next, nowMs, options);
    }
  }
}

function judge(state: Takeover, nowMs: number, options: TakeoverOptions) {
  const stillMs = nowMs - state.movedAtMs;
  if (stillMs >= options.staleMs) {
    const reason = `neither its heartbeat nor the chain moved for ${Math.round(stillMs / 1000)} s`;
    return { state, action: { kind: "claim", reason } as const };
  }
  const afterMs = Math.min(LOOK_MS, options.staleMs - stillMs);
  return { state, action: { kind: "look", afterMs } as const };
}

/** Between two looks at an owner that lives or is silent. */
const LOOK_MS = 1_000;
