/**
 * The life of a replica as a closed set of states and one table in which every state meets every
 * event. The drivers carry out what a state means; nothing else remembers "who am I".
 */

/**
 * - `opening`    the newest snapshot and what follows it are being read into an image
 * - `following`  the image follows the chain, somebody else may own it
 * - `claiming`   a workspace is made and a claim is on its way
 * - `owning`     this node appends
 * - `fenced`     another node wrote the epoch that this one tried to write; the workspace is thrown
 *                away and every pending write answered
 * - `rebuilding` the image did not fit the chain; a new one is read from the store
 * - `corrupt`    what the store holds cannot be read either; it is tried again now and then
 * - `closed`     the end
 */
export type ReplicaState =
  | "opening"
  | "following"
  | "claiming"
  | "owning"
  | "fenced"
  | "rebuilding"
  | "corrupt"
  | "closed";

export type ReplicaEvent =
  | "opened"
  | "claim"
  | "won"
  | "lost"
  | "refused"
  | "released"
  | "mismatch"
  | "rebuilt"
  | "damaged"
  | "close";

/** A transition, or null where the event cannot happen in that state: that is a bug. */
type Table = {
  readonly [S in ReplicaState]: { readonly [E in ReplicaEvent]: ReplicaState | null };
};

const NEVER = {
  opened: null,
  claim: null,
  won: null,
  lost: null,
  refused: null,
  released: null,
  mismatch: null,
  rebuilt: null,
  damaged: null,
  close: "closed",
} as const;

const TABLE: Table = {
  opening: { ...NEVER, opened: "following", damaged: "corrupt" },
  following: { ...NEVER, claim: "claiming", mismatch: "rebuilding", refused: "following" },
  claiming: { ...NEVER, won: "owning", lost: "following", mismatch: "rebuilding" },
  owning: { ...NEVER, refused: "fenced", mismatch: "fenced" },
  fenced: { ...NEVER, released: "following", refused: "fenced", mismatch: "fenced" },
  rebuilding: { ...NEVER, rebuilt: "following", damaged: "corrupt", mismatch: "rebuilding" },
  corrupt: {
    ...NEVER,
    rebuilt: "following",
    mismatch: "corrupt",
    damaged: "corrupt",
    refused: "corrupt",
  },
  closed: {
    opened: "closed",
    claim: "closed",
    won: "closed",
    lost: "closed",
    refused: "closed",
    released: "closed",
    mismatch: "closed",
    rebuilt: "closed",
    damaged: "closed",
    close: "closed",
  },
};

/** The state after an event. Throws when the event cannot happen there. */
export function next(state: ReplicaState, event: ReplicaEvent): ReplicaState {
  const to = TABLE[state][event];
  if (to === null) throw new Error(`assertion failed: a replica that is ${state} met "${event}"`);
  return to;
}

/** A replica's place in its life. */
export class Lifecycle {
  readonly #onChange: (from: ReplicaState, event: ReplicaEvent, to: ReplicaState) => void;
  #state: ReplicaState = "opening";

  constructor(onChange: (from: ReplicaState, event: ReplicaEvent, to: ReplicaState) => void) {
    this.#onChange = onChange;
  }

  get state(): ReplicaState {
    return this.#state;
  }

  is(...states: ReplicaState[]): boolean {
    return states.includes(this.#state);
  }

  enter(event: ReplicaEvent): void {
    const from = this.#state;
    this.#state = next(from, event);
    this.#onChange(from, event, this.#state);
  }
}
