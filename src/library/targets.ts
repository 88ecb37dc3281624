/** Whom a call goes to, and whom it goes to next when that one is not there. Pure. */
import type { Random } from "../base/random.ts";
import type { Member } from "./view.ts";

/** Which members may answer; all that are named must fit. */
export interface Target {
  readonly role?: string;
  readonly zone?: string;
  /** One node, by its id. */
  readonly id?: string;
}

/**
 * Active members that fit, in the order in which to ask them: those of the caller's zone first, and
 * within a zone by chance, so that work is spread.
 */
export function targetsOf(
  members: readonly Member[],
  target: Target,
  ownZone: string,
  random: Random,
): readonly Member[] {
  const fitting = members.filter(({ id, zone, roles, state }) =>
    state === "active" &&
    (target.id === undefined || target.id === id) &&
    (target.zone === undefined || target.zone === zone) &&
    (target.role === undefined || roles.includes(target.role))
  );
  const near = fitting.filter(({ zone }) => zone === ownZone);
  const far = fitting.filter(({ zone }) => zone !== ownZone);
  return [...shuffled(near, random), ...shuffled(far, random)];
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const all = [...items];
  for (let left = all.length; left > 1; left--) {
    const [chosen] = all.splice(random.below(left), 1);
    if (chosen !== undefined) all.push(chosen);
  }
  return all;
}
