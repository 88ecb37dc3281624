/** Parquet files as DuckDB reads them: the judge of those that we write. */
import {
  DuckDBBlobValue,
  type DuckDBConnection,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  DuckDBUUIDValue,
  type DuckDBValue,
} from "@duckdb/node-api";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Column } from "../../src/lake/column.ts";
import type { LakeValue } from "../../src/lake/rows.ts";

export type JsonRow = Readonly<Record<string, unknown>>;

export class ParquetJudge {
  readonly #folder = mkdtempSync(join(tmpdir(), "headgate-parquet-"));
  readonly #connection: DuckDBConnection;
  #files = 0;

  private constructor(connection: DuckDBConnection) {
    this.#connection = connection;
  }

  static async start(): Promise<ParquetJudge> {
    const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
    const connection = await instance.connect();
    await connection.run("SET TimeZone = 'UTC'");
    return new ParquetJudge(connection);
  }

  stop(): void {
    this.#connection.closeSync();
    rmSync(this.#folder, { recursive: true });
  }

  /** A path in SQL, in quotes. */
  path(): string {
    return `'${join(this.#folder, `${this.#files++}.parquet`)}'`;
  }

  /** Writes the file and gives its path in SQL. */
  keep(bytes: Uint8Array): string {
    const path = this.path();
    writeFileSync(path.slice(1, -1), bytes);
    return path;
  }

  async sql(text: string): Promise<readonly JsonRow[]> {
    return (await this.#connection.runAndReadAll(text)).getRowObjectsJson() as readonly JsonRow[];
  }

  async values(text: string): Promise<readonly (readonly DuckDBValue[])[]> {
    return (await this.#connection.runAndReadAll(text)).getRows();
  }

  /** A list of values a column, as those that were written. */
  async vectors(path: string, columns: readonly Column[]): Promise<readonly LakeValue[][]> {
    const rows = await this.values(`FROM ${path}`);
    return columns.map((column, index) => rows.map((row) => lakeValue(column, row[index] ?? null)));
  }
}

/** What DuckDB gives as we say it. */
export function lakeValue(column: Column, value: DuckDBValue): LakeValue {
  const [first, second] = column.children;
  const { name } = column.type;
  if (value instanceof DuckDBListValue) {
    return value.items.map((item) => lakeValue(first!, item));
  }
  if (value instanceof DuckDBMapValue) {
    return value.entries.map((entry) => [
      lakeValue(first!, entry.key),
      lakeValue(second!, entry.value),
    ]);
  }
  if (value instanceof DuckDBStructValue) {
    return column.children.map((field) => lakeValue(field, value.entries[field.name] ?? null));
  }
  if (value instanceof DuckDBDateValue) return value.days;
  if (value instanceof DuckDBTimeValue) return value.micros;
  if (value instanceof DuckDBTimestampTZValue) return value.micros;
  if (value instanceof DuckDBTimestampNanosecondsValue) return value.nanos;
  if (value instanceof DuckDBTimestampValue) return value.micros / unitOf(name);
  if (value instanceof DuckDBUUIDValue) return value.toString();
  if (value instanceof DuckDBBlobValue) return Uint8Array.from(value.bytes);
  if (value instanceof DuckDBDecimalValue) return value.value;
  if (name === "int128" && typeof value === "number") return shortest(BigInt(value));
  return typeof value === "bigint" ? shortest(value) : value as LakeValue;
}

/** Microseconds in one step of a timestamp. */
function unitOf(name: string): bigint {
  if (name === "timestamp_s") return 1_000_000n;
  return name === "timestamp_ms" ? 1_000n : 1n;
}

/** An integer as rows have it: a number where that is exact. */
export function shortest(integer: bigint): number | bigint {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}
