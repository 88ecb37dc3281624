/**
 * Deletes the files of a lake that nobody can come to need (PROTOCOL, section 11, and I15). A file is
 * deleted only after a durable epoch of the catalog lists it as condemned, that epoch has left the
 * restore window, and a linearizable read after that still shows it condemned by the same epoch.
 */
import type { Clock } from "../base/clock.ts";
import { CLEAN_MARGIN_MS, ORPHAN_AGE_MS } from "../base/lake-limits.ts";
import { CLOCK_OFFSET_MS_MAX, KEPT_ANSWER_MS } from "../base/limits.ts";
import { forgetFiles } from "./catalog/data-files.ts";
import {
  condemnOrphans,
  datePaths,
  findOrphans,
  listDeletable,
  listUndated,
} from "./catalog/condemned.ts";
import { lakeMetadata } from "./catalog/create-lake.ts";
import { forgetKeys, hasKeysBefore } from "./kept-keys.ts";
import type { LakeCatalog } from "./lake-catalog.ts";
import type { LakeFiles } from "./lake-files.ts";
import type { StagedFiles } from "./staged-files.ts";

export interface CleaningParts {
  readonly clock: Clock;
  readonly files: Pick<LakeFiles, "dataPath" | "remove" | "stored">;
  readonly staged: Pick<StagedFiles, "list">;
  /** For how long every epoch can be restored. */
  readonly windowMs: number;
  clockOffsetMs(): number;
  /** The newest epoch of a lake's catalog as of a time, by the store; null where that is pruned. */
  epochAt(lake: string, timeMs: number): Promise<number | null>;
}

/** Whether ages may be told at all (I11). */
export function isClockTrusted({ clockOffsetMs }: Pick<CleaningParts, "clockOffsetMs">): boolean {
  return Math.abs(clockOffsetMs()) <= CLOCK_OFFSET_MS_MAX;
}

/** Says of condemned files which epoch they are condemned by. Writes nothing where all have theirs. */
export async function dateFiles(catalog: LakeCatalog, deadlineMs: number): Promise<void> {
  const { value: paths, epoch } = await catalog.ask(listUndated(), { level: "local", deadlineMs });
  if (paths.length > 0) await catalog.execute([datePaths(paths, epoch)], deadlineMs);
}

/** Returns the paths that were deleted. Asks the store nothing while there is nothing to delete. */
export async function deleteFiles(
  parts: CleaningParts,
  catalog: LakeCatalog,
  deadlineMs: number,
): Promise<readonly string[]> {
  if (!isClockTrusted(parts)) return [];
  const beforeMs = catalog.storeMs - parts.windowMs - CLEAN_MARGIN_MS;
  const local = { level: "local", deadlineMs } as const;
  const { value: condemned } = await catalog.ask(listDeletable(beforeMs), local);
  if (condemned.length === 0 || !(await isHome(parts, catalog, deadlineMs))) return [];
  const left = await parts.epochAt(catalog.lake, beforeMs);
  if (left === null) return [];
  const due = new Map(condemned.map(({ path, epoch }) => [path, epoch]));
  const linearizable = { level: "linearizable", deadlineMs } as const;
  const { value: still } = await catalog.ask(listDeletable(beforeMs), linearizable);
  const paths = still
    .filter(({ path, epoch }) => epoch !== null && epoch <= left && due.get(path) === epoch)
    .map(({ path }) => path)
    .filter(isInside);
  if (paths.length === 0 || !isClockTrusted(parts)) return [];
  await parts.files.remove(catalog.lake, paths);
  await catalog.execute(forgetFiles(paths), deadlineMs);
  return paths;
}

/**
 * Condemns data files that no catalog names: what was uploaded and never registered. Returns how many.
 * Lists the lake's whole folder.
 */
export async function condemnStrays(
  parts: CleaningParts,
  catalog: LakeCatalog,
  deadlineMs: number,
): Promise<number> {
  if (!isClockTrusted(parts) || !(await isHome(parts, catalog, deadlineMs))) return 0;
  // What is stored and not adopted yet names files that are in no catalog.
  if (await hasStaged(parts, catalog)) return 0;
  let count = 0;
  for await (const page of parts.files.stored(catalog.lake)) {
    const beforeMs = catalog.storeMs - ORPHAN_AGE_MS;
    const old = page.filter(({ modifiedAtMs }) => modifiedAtMs < beforeMs).map(({ path }) => path);
    if (old.length === 0) continue;
    const local = { level: "local", deadlineMs } as const;
    const { value: strays } = await catalog.ask(findOrphans(old), local);
    if (strays.length === 0) continue;
    await catalog.execute([condemnOrphans(strays, catalog.storeMs)], deadlineMs);
    count += strays.length;
  }
  return count;
}

/** Writes nothing where no key is older than a day. */
export async function forgetOldKeys(
  parts: CleaningParts,
  catalog: LakeCatalog,
  deadlineMs: number,
): Promise<void> {
  if (!isClockTrusted(parts)) return;
  const beforeMs = catalog.storeMs - KEPT_ANSWER_MS;
  const { value: hasOld } = await catalog.ask(hasKeysBefore(beforeMs), {
    level: "local",
    deadlineMs,
  });
  // What is stored may have been stored again by another request with its key.
  if (!hasOld || (await hasStaged(parts, catalog))) return;
  await catalog.execute([forgetKeys(beforeMs)], deadlineMs);
}

async function hasStaged({ staged }: CleaningParts, { lake }: LakeCatalog): Promise<boolean> {
  for await (const ids of staged.list(lake)) if (ids.length > 0) return true;
  return false;
}

/** The files of a lake that says it lies elsewhere are somebody else's. */
async function isHome(
  { files }: CleaningParts,
  catalog: LakeCatalog,
  deadlineMs: number,
): Promise<boolean> {
  const { value } = await catalog.ask(lakeMetadata(), { level: "linearizable", deadlineMs });
  return value.dataPath === files.dataPath(catalog.lake);
}

/** A path that leads out of the lake's folder is not one of its files. */
function isInside(path: string): boolean {
  return !path.includes("://") && path.split("/").every((part) => !["", ".", ".."].includes(part));
}
