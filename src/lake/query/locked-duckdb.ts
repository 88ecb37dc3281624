/**
 * One DuckDB for one query: in memory, with the lake's tables as views, and locked before the
 * client's SQL is prepared. What holds, in order: extensions are off, nothing spills to a disk,
 * only this query's files can be opened, and no setting can be changed any more.
 *
 * Files are reached through links named by number in the child's own working folder, so that neither
 * a view's text nor a plan nor an error says where a node keeps what it has fetched.
 */
import { existsSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { Failure } from "../../base/failure.ts";
import { literal } from "./duckdb-type.ts";
import { duckdbFailure } from "./duckdb-failure.ts";
import type { ChildFailure, OrderedTable, QueryOrder } from "./message.ts";
import type { ParseSql } from "./statement-gate.ts";
import { type ViewFile, viewStatements } from "./views.ts";
import { structFields } from "./field-names.ts";
import type { QueryFile } from "./lake-query.ts";

const CONFIG = {
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false",
  allow_community_extensions: "false",
  allow_unsigned_extensions: "false",
  allow_persistent_secrets: "false",
  secret_directory: "",
  temp_directory: "",
  enable_external_file_cache: "false",
};

export class LockedDuckdb {
  readonly connection: DuckDBConnection;
  readonly #instance: DuckDBInstance;
  readonly #links = new Links();

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.connection = connection;
  }

  /** Without tables and files, to look at statements. The working folder is the child's own. */
  static async open(options: Pick<QueryOrder, "memoryBytesMax" | "threads">) {
    const instance = await DuckDBInstance.create(":memory:", {
      ...CONFIG,
      threads: String(options.threads),
      memory_limit: `${Math.floor(options.memoryBytesMax / 1024)}KiB`,
    });
    return new LockedDuckdb(instance, await instance.connect());
  }

  /** Throws what `failure` understands, and `unavailable` for a file that is not there. */
  async lock(tables: readonly OrderedTable[]): Promise<void> {
    const links = this.#links;
    const views: { readonly table: string; readonly statements: readonly string[] }[] = [];
    for (const table of tables) {
      const files = await this.#viewFiles(table);
      views.push({ table: fullName(table), statements: viewStatements(table, files) });
    }
    await this.connection.run(`SET allowed_paths = [${links.names.map(literal).join(", ")}]`);
    await this.connection.run("SET enable_external_access = false");
    for (const { table, statements } of views) {
      for (const statement of statements) await this.#make(table, statement);
    }
    await this.connection.run("SET lock_configuration = true");
  }

  /** The client has no part in these statements, so none of their errors is its own. */
  async #make(table: string, statement: string): Promise<void> {
    try {
      await this.connection.run(statement);
    } catch (cause) {
      const { kind, message, details = {} } = this.failure(cause);
      if (kind !== "invalid") throw new Failure(kind, message, { cause, details });
      throw new Failure("corrupt", `Cannot read the table ${table}: ${message}`, {
        cause,
        details,
      });
    }
  }

  async #viewFiles(table: OrderedTable): Promise<ViewFile[]> {
    const { inlined } = table;
    const name = fullName(table);
    const all = [...table.files, ...(inlined === undefined ? [] : [{ path: inlined }])];
    const files: Omit<ViewFile, "fieldNames">[] = all.map((file: QueryFile) => {
      const { path, deletions, ...some } = file;
      return {
        ...some,
        name: this.#links.nameOf(path, name),
        ...(deletions === undefined ? {} : { deletions: this.#links.nameOf(deletions, name) }),
      };
    });
    const names = await this.#fieldNames(table, files.map(({ name }) => name));
    return files.map((file) => ({ ...file, fieldNames: names.get(file.name) ?? new Map() }));
  }

  /** Of every file, what it calls the fields of structs. Without structs no file is opened. */
  async #fieldNames(
    { columns }: OrderedTable,
    files: readonly string[],
  ): Promise<Map<string, Map<number, string>>> {
    const names = new Map(files.map((file) => [file, new Map<number, string>()]));
    const ids = new Set(structFields(columns).map(({ id }) => id));
    if (ids.size === 0 || files.length === 0) return names;
    const reader = await this.connection.runAndReadAll(
      `SELECT file_name, field_id, name FROM parquet_schema([${files.map(literal).join(", ")}]) ` +
        `WHERE field_id IN (${[...ids].join(", ")})`,
    );
    for (const [file, id, name] of reader.getRows()) {
      names.get(String(file))?.set(Number(id), String(name));
    }
    return names;
  }

  readonly parse: ParseSql = async (sql) => {
    const reader = await this.connection.runAndReadAll(
      `SELECT json_serialize_sql(${literal(sql)}, skip_null := true, skip_empty := true)`,
    );
    return String(reader.getRows()[0]?.[0]);
  };

  /** Says of an error whether the statement, a file or the machine is to blame. */
  failure(error: unknown): ChildFailure {
    return duckdbFailure(error, this.#links.tableOf);
  }

  close(): void {
    this.connection.closeSync();
    this.#instance.closeSync();
    removeLinks();
  }
}

function fullName({ schema, name }: OrderedTable): string {
  return `${schema}.${name}`;
}

/** Links in the working folder to the files of one query. */
class Links {
  /** By the name of a link. */
  readonly tableOf = new Map<string, string>();
  readonly #byPath = new Map<string, string>();

  constructor() {
    removeLinks();
  }

  get names(): string[] {
    return [...this.#byPath.values()];
  }

  nameOf(path: string, table: string): string {
    const known = this.#byPath.get(path);
    if (known !== undefined) return known;
    if (!existsSync(path)) {
      throw new Failure("unavailable", `Cannot read the table ${table}: a file of it is not here`, {
        details: { reason: "file", table },
      });
    }
    const name = String(this.#byPath.size + 1);
    symlinkSync(path, name);
    this.#byPath.set(path, name);
    this.tableOf.set(name, table);
    return name;
  }
}

/** The working folder holds nothing else: it was made for this child. */
function removeLinks(): void {
  for (const name of readdirSync(".")) {
    if (/^\d+$/.test(name)) rmSync(name, { force: true });
  }
}
