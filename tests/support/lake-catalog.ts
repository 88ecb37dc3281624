/** A lake's catalog in a database of its own, changed and asked as its owner does. */
import { Database } from "bun:sqlite";
import { Failure } from "../../src/base/failure.ts";
import { createMachinery } from "../../src/database/machinery.ts";
import { RequestRunner } from "../../src/database/run-request.ts";
import { toFailure } from "../../src/database/sql-error.ts";
import type { Statement } from "../../src/database/statement.ts";
import { bind, numberParameters } from "../../src/database/parameters.ts";
import { tokenize } from "../../src/database/tokens.ts";
import type { SqlValue } from "../../src/database/value.ts";
import { createLake } from "../../src/lake/catalog/create-lake.ts";
import { createTable } from "../../src/lake/catalog/create-table.ts";
import { encodeRows, type InlinedRows, insertRows } from "../../src/lake/catalog/inlined.ts";
import type { CatalogQuery, Row } from "../../src/lake/catalog/query.ts";
import { findTable, type LakeTable } from "../../src/lake/catalog/read-tables.ts";
import { catalogFailure } from "../../src/lake/catalog/refusal.ts";
import { type Change, madeSnapshot, snapshot } from "../../src/lake/catalog/snapshot.ts";
import type { Column, ColumnType, ColumnWish } from "../../src/lake/column.ts";
import type { ColumnStatistics, LakeValue, RowBatch } from "../../src/lake/rows.ts";

const UUID = "00000000-0000-4000-8000-000000000000";

export class LakeCatalog {
  readonly database: Database;
  readonly #runner: RequestRunner;
  /** Of the next snapshot; each is one second later. */
  nowMs = Date.UTC(2024, 0, 15, 12);

  /** `path` is a file that is there for others as well, or ":memory:". */
  constructor(path = ":memory:", { dataPath = "data/", isNew = true } = {}) {
    this.database = new Database(path, { safeIntegers: true });
    if (isNew) { for (const sql of createMachinery()) this.database.run(sql); }
    this.#runner = new RequestRunner(this.database);
    if (isNew) this.execute(createLake({ dataPath, schemaUuid: UUID, nowMs: this.nowMs }));
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  /** One transaction. Throws the failure that its caller would see. Answers the rows of each. */
  execute(statements: readonly Statement[]): readonly { readonly rows?: readonly Row[] }[] {
    this.database.run("BEGIN IMMEDIATE");
    const outcome = this.#runner.run(
      { statements, subject: "lake", deadlineMs: Number.POSITIVE_INFINITY, trusted: true },
      { epoch: 1, nowMs: 0 },
    );
    this.database.run("COMMIT");
    if (outcome.kind === "done") {
      return (JSON.parse(`{${outcome.result}}`) as { results: { rows?: Row[] }[] }).results;
    }
    if (outcome.kind === "replayed") throw new Error("no request has a key here");
    const failure = toFailure(outcome.failure);
    throw catalogFailure(failure, "Cannot change the lake") ?? failure;
  }

  /** Answers the snapshot. */
  change(...changes: readonly Change[]): number {
    this.nowMs += 1000;
    return madeSnapshot(changes, this.execute(snapshot(changes, { nowMs: this.nowMs })));
  }

  refusal(...changes: readonly Change[]): unknown {
    const before = this.database.serialize();
    try {
      this.change(...changes);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (!Buffer.from(before).equals(Buffer.from(this.database.serialize()))) {
        throw new Error("a refused change has left something behind", { cause: error });
      }
      return error.details?.refusal ?? error.message;
    }
    return null;
  }

  ask<Answer>({ sql, params, decode }: CatalogQuery<Answer>): Answer {
    const numbered = { sql, ...numberParameters(sql, tokenize(sql)) };
    const { values } = bind(numbered, params);
    return decode(this.database.query(sql).values(...values) as SqlValue[][]);
  }

  rows(sql: string): unknown[][] {
    return this.database.query(sql).values();
  }

  createTable(name: string, ...columns: readonly ColumnWish[]): LakeTable {
    this.change(createTable({ schema: "main", name, uuid: UUID, columns }));
    return this.table(name);
  }

  table(name: string): LakeTable {
    const table = this.ask(findTable({ schema: "main", name }, null));
    if (table === null) throw new Error(`there is no table ${name}`);
    return table;
  }

  /** The rows are lists of values. */
  insert(name: string, ...rows: readonly (readonly LakeValue[])[]): void {
    this.change(insertRows(inlinedRows(this.table(name), rows)));
  }
}

export function wish(
  name: string,
  type: ColumnType | string,
  ...children: ColumnWish[]
): ColumnWish {
  return {
    name,
    type: typeof type === "string" ? { name: type } as ColumnType : type,
    nullable: true,
    children,
  };
}

export function inlinedRows(
  { id, version, columns }: LakeTable,
  rows: readonly (readonly LakeValue[])[],
): InlinedRows {
  const batch = batchOf(columns, rows);
  return {
    table: id,
    version,
    columns,
    rows: rows.length,
    encoded: encodeRows(batch),
    statistics: statisticsOf(batch),
  };
}

export function batchOf(
  columns: readonly Column[],
  rows: readonly (readonly LakeValue[])[],
): RowBatch {
  return {
    columns,
    rows: rows.length,
    vectors: columns.map((_, index) => rows.map((row) => row[index] ?? null)),
  };
}

/** The plain way: every value is looked at, those inside of others too. */
export function statisticsOf({ columns, vectors }: RowBatch): readonly ColumnStatistics[] {
  const found: ColumnStatistics[] = [];
  const collect = (column: Column, values: readonly LakeValue[]): void => {
    if (column.children.length === 0) {
      found.push(ofColumn(column, values));
      return;
    }
    const lists = values.filter((value) => value !== null) as readonly (readonly LakeValue[])[];
    column.children.forEach((child, index) => {
      const inside = column.type.name === "struct"
        ? values.map((value) =>
          value === null ? null : (value as readonly LakeValue[])[index] ?? null
        )
        : column.type.name === "list"
        ? lists.flat()
        : lists.flat().map((pair) => (pair as readonly LakeValue[])[index] ?? null);
      collect(child, inside);
    });
  };
  columns.forEach((column, index) => collect(column, vectors[index] ?? []));
  return found;
}

function ofColumn({ id }: Column, values: readonly LakeValue[]): ColumnStatistics {
  const isNan = (value: LakeValue) => typeof value === "number" && Number.isNaN(value);
  const there = values.filter((value) => value !== null && !isNan(value));
  const ordered = there.toSorted((a, b) => order(key(a), key(b)));
  return {
    columnId: id,
    values: values.length,
    nulls: values.filter((value) => value === null).length,
    nans: values.some(isNan),
    min: ordered[0] ?? null,
    max: ordered.at(-1) ?? null,
    bytes: 0,
  };

  function key(value: LakeValue): bigint | number | string {
    if (value instanceof Uint8Array) return value.toHex();
    if (typeof value === "string") return Buffer.from(value).toString("hex");
    return typeof value === "boolean" ? Number(value) : value as bigint | number;
  }
}

function order(a: bigint | number | string, b: bigint | number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
