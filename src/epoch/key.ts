/**
 * Every key under the prefix is built here (PROTOCOL, section 1), without the prefix itself.
 *
 * A chain lies where Litestream 0.5 looks for one: on S3 its levels are folders of four hex digits,
 * in a directory they are plain numbers below `ltx/`. So each database folder is a replica URL.
 */
import { assert } from "../base/assert.ts";
import { checkLakeName, isDatabaseName, isNodeName } from "./name.ts";

/** How the kind of store at hand lays out the levels of a chain. */
export type Layout = "s3" | "filesystem";

export const LEVEL_MAX = 9;
/** The level of snapshots, as in Litestream. */
export const SNAPSHOT_LEVEL = 9;

export const DATABASES_PREFIX = "databases/";
export const CLUSTER_KEY = "cluster_state/cluster.json";
export const CLUSTER_SECRET_KEY = "cluster_state/cluster_secret.json";
export const LEADER_KEY = "cluster_state/leader.json";
export const BROKERS_PREFIX = "cluster_state/brokers/";
export const PROBE_PREFIX = "probe/";
export const LAKES_PREFIX = "lakes/";

/** What a chain object's key says. */
export interface ObjectName {
  readonly database: string;
  readonly level: number;
  /** First and last epoch in the object. */
  readonly min: number;
  readonly max: number;
}

export function objectKey(
  layout: Layout,
  database: string,
  level: number,
  min: number,
  max: number,
): string {
  assert(isEpoch(min) && isEpoch(max) && min <= max, `epochs ${min} to ${max} of ${database}`);
  return `${levelPrefix(layout, database, level)}${hex16(min)}-${hex16(max)}.ltx`;
}

/** The folder of one level, with its slash. Keys in it ascend with the first, then last epoch. */
export function levelPrefix(layout: Layout, database: string, level: number): string {
  assert(Number.isInteger(level) && level >= 0 && level <= LEVEL_MAX, `level ${level}`);
  const folder = layout === "s3" ? level.toString(16).padStart(4, "0") : `ltx/${level}`;
  return `${databasePrefix(database)}${folder}/`;
}

/** The folder of one database, with its slash: Litestream's replica, all levels in it. */
export function databasePrefix(database: string): string {
  assert(isDatabaseName(database), `a database named ${JSON.stringify(database)}`);
  return `${DATABASES_PREFIX}${database}/`;
}

/** Null for a key that `objectKey` would not build: it is not ours, so nobody touches it. */
export function parseObjectKey(layout: Layout, key: string): ObjectName | null {
  const match = (layout === "s3" ? S3_KEY : FILESYSTEM_KEY).exec(key);
  if (match === null) return null;
  const [, database = "", levelText = "", minText = "", maxText = ""] = match;
  const level = Number(levelText);
  const min = Number.parseInt(minText, 16);
  const max = Number.parseInt(maxText, 16);
  if (!isDatabaseName(database) || !isEpoch(min) || !isEpoch(max) || min > max) return null;
  if (level === 0 && min !== max) return null;
  if (level === SNAPSHOT_LEVEL && min !== 1) return null;
  return { database, level, min, max };
}

/** A node's own file. */
export function brokerKey(nodeId: string): string {
  assert(isNodeName(nodeId), `a node named ${JSON.stringify(nodeId)}`);
  return `${BROKERS_PREFIX}${nodeId}.json`;
}

/** The copy of a lake's catalog for readers without Headgate. */
export function catalogCopyKey(lake: string): string {
  checkLakeName(lake);
  return `cluster_state/catalogs/backups/${lake}/latest.sqlite`;
}

/** The node whose file this is, or null for another key. */
export function parseBrokerKey(key: string): string | null {
  if (!key.startsWith(BROKERS_PREFIX) || !key.endsWith(".json")) return null;
  const nodeId = key.slice(BROKERS_PREFIX.length, -".json".length);
  return isNodeName(nodeId) ? nodeId : null;
}

const S3_KEY = /^databases\/([^/]+)\/000([0-9])\/([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/;
const FILESYSTEM_KEY = /^databases\/([^/]+)\/ltx\/([0-9])\/([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/;

function isEpoch(epoch: number): boolean {
  return Number.isSafeInteger(epoch) && epoch >= 1;
}

function hex16(epoch: number): string {
  return epoch.toString(16).padStart(16, "0");
}
