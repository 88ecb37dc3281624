/** Measured times in one line. */

/** Median, 99th percentile and maximum; the latter two are the same where there are few. */
export function figures(timesMs: readonly number[]): string {
  const sorted = [...timesMs].sort((a, b) => a - b);
  const at = (part: number) => shown(sorted[Math.ceil(part * sorted.length) - 1]);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms of ${sorted.length}`;
}

function shown(ms: number | undefined): string {
  if (ms === undefined) return "?";
  return ms < 10 ? ms.toFixed(1) : String(Math.round(ms));
}
