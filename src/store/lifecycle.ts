/**
 * Whether a bucket's lifecycle rules would take a cluster's objects away (I12): rules that expire
 * objects, or move them where they cannot be read at once, under the cluster's prefix.
 */
import type { LifecycleRule } from "@aws-sdk/client-s3";

export interface LifecycleReport {
  /** `unknown`: the bucket does not let us look, or its store has no such thing. */
  readonly state: "harmless" | "harmful" | "unknown";
  /** One sentence for each harmful rule, or why nothing is known. */
  readonly reasons: readonly string[];
}

/** Storage classes whose objects have to be restored before they can be read. */
const ARCHIVES: readonly string[] = ["GLACIER", "DEEP_ARCHIVE"];

/** `prefix` is the store's own, with a slash at its end, or "". */
export function judgeLifecycle(rules: readonly LifecycleRule[], prefix: string): LifecycleReport {
  const reasons = rules.flatMap((rule) => {
    const harm = rule.Status === "Enabled" && touches(rule, prefix) ? harmOf(rule) : null;
    const name = JSON.stringify(rule.ID ?? "without a name");
    return harm === null ? [] : [`The bucket's lifecycle rule ${name} ${harm}`];
  });
  return { state: reasons.length > 0 ? "harmful" : "harmless", reasons };
}

/** True if the rule can apply to an object under the prefix. Our objects have no tags. */
function touches(rule: LifecycleRule, prefix: string): boolean {
  const filter = rule.Filter;
  if (filter?.Tag !== undefined || (filter?.And?.Tags?.length ?? 0) > 0) return false;
  // A rule has its prefix in one of three places, the last from an older version of the format.
  const own = filter?.And?.Prefix ?? filter?.Prefix ?? rule.Prefix ?? "";
  return own.startsWith(prefix) || prefix.startsWith(own);
}

function harmOf(rule: LifecycleRule): string | null {
  const { Expiration } = rule;
  if (Expiration?.Days !== undefined) return `removes objects after ${Expiration.Days} days`;
  if (Expiration?.Date !== undefined) return `removes objects on ${Expiration.Date.toISOString()}`;
  const archive = rule.Transitions?.find(({ StorageClass }) =>
    ARCHIVES.includes(StorageClass ?? "")
  );
  if (archive === undefined) return null; // old versions, aborted uploads: not ours
  return `moves objects to ${archive.StorageClass}, where they cannot be read`;
}
