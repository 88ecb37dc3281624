/** `lake flush`, `merge` and `expire`: what the leader does for lakes by itself, or never, at once. */
import type { Expired, MergedLake } from "../lake/by-hand.ts";
import type { Flushed } from "../lake/flush-table.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { lakePath, show } from "./lake.ts";
import { countText } from "./sql.ts";

export function runFlush(args: ParsedArguments, around: Surroundings): Promise<number> {
  const text = ({ rows, files, epoch }: Flushed) =>
    rows === 0
      ? "there is nothing to flush\n"
      : `flushed ${countText(rows, "row")} into ${countText(files, "file")} in epoch ${epoch}\n`;
  return show(args, around, tablesRequest(args, "flush"), text);
}

export function runMerge(args: ParsedArguments, around: Surroundings): Promise<number> {
  const text = ({ merged, into, epoch }: MergedLake) =>
    merged === 0
      ? "there is nothing to merge\n"
      : `merged ${countText(merged, "file")} into ${into} in epoch ${epoch}\n`;
  return show(args, around, tablesRequest(args, "merge"), text);
}

export function runExpire(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [lake = ""] = args.positionals;
  const request = { method: "POST", path: `${lakePath(lake)}/expire`, body: wishOf(args) } as const;
  const text = ({ snapshots, files, epoch }: Expired) => {
    if (snapshots === 0) return "there is nothing to expire\n";
    // They are still there, for a catalog that is restored.
    const rest = files === 0 ? "" : `; ${countText(files, "file")} can go after the restore window`;
    return `expired ${countText(snapshots, "snapshot")} in epoch ${epoch}${rest}\n`;
  };
  return show(args, around, request, text);
}

/** For one table, or all of the lake's. */
function tablesRequest({ positionals }: ParsedArguments, work: "flush" | "merge") {
  const [lake = "", table] = positionals;
  const body = table === undefined ? {} : { table };
  return { method: "POST", path: `${lakePath(lake)}/${work}`, body } as const;
}

function wishOf(args: ParsedArguments) {
  const age = args.text("older-than");
  const before = args.text("before");
  if ((age === undefined) === (before === undefined)) {
    throw new UsageError("Say what is to go: --older-than AGE or --before T");
  }
  if (before === undefined) return { older_than: age };
  return { before: timeOf(before) };
}

/** As it is written, or as ms since 1970. */
function timeOf(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}
