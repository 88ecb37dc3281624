/** Chance as an argument, so a run can be repeated from its seed. */
export interface Random {
  /** A whole number from 0 to `limit` − 1, evenly spread. */
  below(limit: number): number;
  bytes(length: number): Uint8Array;
  /** An unsigned 64-bit number. */
  u64(): bigint;
}

export const systemRandom: Random = {
  below: (limit) => Math.floor(Math.random() * limit),
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  u64: () => crypto.getRandomValues(new BigUint64Array(1))[0] ?? 0n,
};

/** A repeatable source for tests and the simulation: SplitMix32 (Steele, Lea, Flood 2014). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  return {
    below: (limit) => Math.floor((next() / 0x1_0000_0000) * limit),
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    u64: () => (BigInt(next()) << 32n) | BigInt(next()),
  };
}
