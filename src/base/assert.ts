/**
 * Assertions stay on in production: a bug that is noticed here crashes a node, and a node that
 * crashes loses nothing, while one that goes on with a broken invariant might.
 * Bad input is not a bug; it gets a `Failure`.
 */

/** Throws when `condition` is false. The message names the invariant and the values. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** Marks a branch that the type checker proves unreachable. */
export function unreachable(value: never): never {
  throw new Error(`assertion failed: unreachable value ${JSON.stringify(value)}`);
}
