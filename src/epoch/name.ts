/**
 * Names that become parts of keys: of databases, lakes and nodes. Lower case only, since some file
 * systems cannot tell cases apart; no dots or slashes, so a name never leaves its folder.
 */
import { Failure } from "../base/failure.ts";

export const NAME_BYTES_MAX = 63;
/** A lake's catalog is a database whose name is five longer. */
export const LAKE_NAME_BYTES_MAX = 58;
export const SYSTEM_DATABASE = "system";
const CATALOG_PREFIX = "lake-";

const SHAPE = /^[a-z0-9][a-z0-9_-]*$/;

/** True for any database that may be in a bucket, the machinery's included. */
export function isDatabaseName(name: string): boolean {
  return name.length <= NAME_BYTES_MAX && SHAPE.test(name);
}

export function isNodeName(id: string): boolean {
  return id.length <= NAME_BYTES_MAX && SHAPE.test(id);
}

/** A database name that a client chose. Throws `invalid` for a wrong or reserved one. */
export function checkDatabaseName(name: string): void {
  checkShape("database", name, NAME_BYTES_MAX);
  if (name === SYSTEM_DATABASE) {
    throw new Failure(
      "invalid",
      `The database name "${name}" is the cluster's own; choose another`,
    );
  }
  if (name.startsWith(CATALOG_PREFIX)) {
    throw new Failure(
      "invalid",
      `The database name "${name}" is reserved: "${CATALOG_PREFIX}…" are the catalogs of lakes`,
    );
  }
}

/** Throws `invalid` for a wrong name. */
export function checkLakeName(name: string): void {
  checkShape("lake", name, LAKE_NAME_BYTES_MAX);
}

/** Throws `invalid` for a wrong id. */
export function checkNodeId(id: string): void {
  checkShape("node", id, NAME_BYTES_MAX);
}

/** The lake whose catalog that database holds. */
export function lakeOfCatalog(database: string): string {
  return database.slice(CATALOG_PREFIX.length);
}

export function isCatalogName(database: string): boolean {
  return database.startsWith(CATALOG_PREFIX);
}

/** The database that holds a lake's catalog. */
export function catalogDatabase(lake: string): string {
  checkLakeName(lake);
  return CATALOG_PREFIX + lake;
}

function checkShape(thing: string, name: string, bytesMax: number): void {
  if (name.length <= bytesMax && SHAPE.test(name)) return;
  const shown = JSON.stringify(name.length <= 80 ? name : `${name.slice(0, 80)}…`);
  throw new Failure(
    "invalid",
    `The ${thing} name ${shown} is not valid: use 1 to ${bytesMax} of a–z, 0–9, "_" and "-", ` +
      `beginning with a letter or digit`,
    { details: { name: name.slice(0, 80), allowed: `[a-z0-9][a-z0-9_-]{0,${bytesMax - 1}}` } },
  );
}
