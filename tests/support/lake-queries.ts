/** Queries over lakes with real children, and Parquet files as a lake has them. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Children } from "../../src/database/child.ts";
import { createChildren } from "../../src/database/child-process.ts";
import type { Column, ColumnType, PlainType } from "../../src/lake/column.ts";
import type { LakeQuery, QueryTable } from "../../src/lake/query/lake-query.ts";
import { installedBinding } from "../../src/lake/query/native-binding.ts";
import { LakeQueries, type LakeQueriesOptions } from "../../src/lake/query/queries.ts";

const MAIN = join(import.meta.dir, "../../main.ts");

export interface LakeStage {
  readonly directory: string;
  readonly children: Children;
  queries(options?: Partial<LakeQueriesOptions>): LakeQueries;
  /** Writes a Parquet file with DuckDB and gives its path; `sql` is a whole COPY but for the target. */
  parquet(select: string, fieldIds: string): Promise<string>;
  close(): Promise<void>;
}

export function lakeStage(): LakeStage {
  const directory = mkdtempSync(join(tmpdir(), "headgate-lake-query-"));
  const data = join(directory, "data");
  mkdirSync(data);
  const children = createChildren({
    command: [process.execPath, MAIN],
    clock: systemClock,
    log: silentLog,
    directory: join(directory, "children"),
  });
  const opened: LakeQueries[] = [];
  let files = 0;
  return {
    directory,
    children,
    queries: (options = {}) => {
      const queries = new LakeQueries({
        children,
        clock: systemClock,
        folder: join(directory, `queries-${opened.length}`),
        binding: installedBinding,
        ...options,
      });
      opened.push(queries);
      return queries;
    },
    parquet: async (select, fieldIds) => {
      const path = join(data, `${++files}.parquet`);
      const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
      const connection = await instance.connect();
      await connection.run(`COPY (${select}) TO '${path}' (FIELD_IDS {${fieldIds}})`);
      connection.closeSync();
      instance.closeSync();
      return path;
    },
    close: async () => {
      for (const queries of opened) await queries.close();
      await children.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A nullable column without children. */
export function column(id: number, name: string, type: PlainType | ColumnType): Column {
  const columnType = typeof type === "string" ? { name: type } : type;
  return { id, name, type: columnType, nullable: true, children: [] };
}

export function nested(
  id: number,
  name: string,
  type: "list" | "struct" | "map",
  children: readonly Column[],
): Column {
  return { id, name, type: { name: type }, nullable: true, children };
}

export function table(
  name: string,
  columns: readonly Column[],
  files: readonly string[],
  rest: Partial<QueryTable> = {},
): QueryTable {
  return { schema: "main", name, columns, files: files.map((path) => ({ path })), ...rest };
}

/** A query of 20 s whose answer is JSON. */
export function ask(sql: string, rest: Partial<LakeQuery> = {}): LakeQuery {
  return {
    sql,
    tables: [],
    format: "json",
    deadlineMs: systemClock.monotonicMs() + 20_000,
    ...rest,
  };
}

export async function bytesOf(queries: LakeQueries, query: LakeQuery): Promise<Buffer> {
  const { body } = await queries.query(query);
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function textOf(queries: LakeQueries, query: LakeQuery): Promise<string> {
  return (await bytesOf(queries, query)).toString();
}

export async function rowsOf(queries: LakeQueries, query: LakeQuery): Promise<unknown[][]> {
  return (JSON.parse(await textOf(queries, query)) as { rows: unknown[][] }).rows;
}
