/** Durations as people write them, "90s" or "7d", and as ms. */
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `value` has been checked: digits and a unit. */
export function durationMs(value: string): number {
  const [, digits = "0", unit = "ms"] = /^(\d+)([a-z]+)$/.exec(value) ?? [];
  return Number(digits) * (UNIT_MS[unit] ?? 1);
}

/** The shortest text that `durationMs` reads back. */
export function durationText(ms: number): string {
  for (const unit of ["d", "h", "m", "s"]) {
    const size = UNIT_MS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}
