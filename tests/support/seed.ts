/** Chance of a test: from SEED when it is set, so that what went wrong can be tried again. */
export interface TestRandom {
  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number;
}

/** Print the seed: nobody can replay what was not written down. */
export function seededRandom(): { readonly random: TestRandom; readonly seed: number } {
  const given = process.env["SEED"];
  const seed = given ? Number(given) : crypto.getRandomValues(new Uint32Array(1))[0]!;
  let state = seed >>> 0;
  return {
    seed,
    // mulberry32
    random: {
      below(bound) {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
      },
    },
  };
}
