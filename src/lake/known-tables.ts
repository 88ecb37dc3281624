/**
 * Tables of lakes as this node knows them. What is known may be out of date: whoever stores rows by
 * it names the version, and is refused if that is another by then.
 */
import { LAKE_TABLES_KNOWN_MAX } from "../base/lake-limits.ts";
import { findTable, type LakeTable, type TableName } from "./catalog/read-tables.ts";
import { refuse } from "./catalog/refusal.ts";
import type { Change } from "./catalog/snapshot.ts";
import type { Freshness, LakeCatalog } from "./lake-catalog.ts";

/** A table, and whether this node has inlined rows of its version before. */
export type KnownTable = LakeTable & { readonly isOpen?: boolean };

export class KnownTables {
  readonly #tables = new Map<string, KnownTable>();

  /** Null where there is no such table as far as the answer is to be believed. */
  async find(
    catalog: LakeCatalog,
    name: TableName,
    deadlineMs: number,
  ): Promise<KnownTable | null> {
    const known = this.#tables.get(keyOf(catalog, name));
    if (known) return known;
    const here = await this.#read(catalog, name, { level: "local", deadlineMs });
    if (here) return here;
    return await this.#read(catalog, name, { level: "linearizable", deadlineMs });
  }

  /** As this node's own copy of the catalog has it, which needs nobody else. */
  async here(
    catalog: LakeCatalog,
    name: TableName,
    deadlineMs: number,
  ): Promise<LakeTable | null> {
    return (await catalog.ask(findTable(name, null), { level: "local", deadlineMs })).value;
  }

  /** As it is now, whatever was known. */
  async refresh(
    catalog: LakeCatalog,
    name: TableName,
    freshness: Freshness,
  ): Promise<KnownTable | null> {
    this.forget(catalog, name);
    return await this.#read(catalog, name, freshness);
  }

  /** Rows of this version have been inlined: there is a place for them. */
  opened(catalog: LakeCatalog, name: TableName, { version }: LakeTable): void {
    const known = this.#tables.get(keyOf(catalog, name));
    if (known?.version === version) {
      this.#tables.set(keyOf(catalog, name), { ...known, isOpen: true });
    }
  }

  forget(catalog: LakeCatalog, name: TableName): void {
    this.#tables.delete(keyOf(catalog, name));
  }

  async #read(
    catalog: LakeCatalog,
    name: TableName,
    freshness: Freshness,
  ): Promise<LakeTable | null> {
    const { value } = await catalog.ask(findTable(name, null), freshness);
    if (value === null) return null;
    this.#tables.set(keyOf(catalog, name), value);
    const [oldest] = this.#tables.keys();
    if (this.#tables.size > LAKE_TABLES_KNOWN_MAX && oldest) this.#tables.delete(oldest);
    return value;
  }
}

function keyOf({ lake }: LakeCatalog, { schema, name }: TableName): string {
  return `${lake}\n${schema.toLowerCase()}\n${name.toLowerCase()}`;
}

/**
 * The change, refused as `table_missing` where the table is not the one that was known: a lake that
 * was dropped and made again gives the same ids and versions to other tables.
 */
export function ofTable({ id, uuid }: LakeTable, change: Change): readonly Change[] {
  const isAnother = "NOT EXISTS (SELECT 1 FROM ducklake_table WHERE table_id = :table " +
    "AND table_uuid = :uuid AND end_snapshot IS NULL)";
  const guard = refuse([["table_missing", isAnother]], { table: id, uuid });
  return [{ ...change, guard, statements: [] }, change];
}
