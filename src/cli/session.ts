/** One shell's conversation with one database: statements, dot commands, and what they print. */
import type { DatabaseInfo } from "../http/node.ts";
import { checkStatement } from "../database/rules.ts";
import { isFailure } from "../base/failure.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { nearest, UsageError } from "./arguments.ts";
import type { ApiClient } from "./client.ts";
import {
  countText,
  databasePath,
  execute,
  type ExecuteResult,
  executeText,
  type QueryResult,
} from "./sql.ts";
import { formatRows, isTableMode, type TableMode } from "./table.ts";
import { parseAnswer } from "./value.ts";

const DOTS: readonly (readonly [string, string])[] = [
  [".tables", "the tables and views"],
  [".schema [NAME]", "the SQL that made them"],
  [".mode [MODE]", "how rows are shown: table, line, csv, json"],
  [".timer on|off", "say how long each statement took"],
  [".help", "this"],
  [".quit", "leave; Ctrl-D does too"],
];

export class Session {
  readonly #client: ApiClient;
  readonly #around: Surroundings;
  readonly database: string;
  #mode: TableMode;
  #timer = false;
  /** The newest epoch that this session wrote: it reads its own writes on any node. */
  #written = 0;

  constructor(client: ApiClient, around: Surroundings, database: string, mode: TableMode) {
    this.#client = client;
    this.#around = around;
    this.database = database;
    this.#mode = mode;
  }

  get url(): string {
    return this.#client.url;
  }

  /** The statement under way is waited for no longer. False when there is none. */
  stopWaiting(): boolean {
    return this.#client.stopWaiting();
  }

  /** Throws the node's failure if there is no such database. */
  async check(): Promise<void> {
    await this.#client.json<DatabaseInfo>({ method: "GET", path: databasePath(this.database) });
  }

  /** One statement, without its semicolon. */
  async run(sql: string): Promise<boolean> {
    const startMs = this.#around.clock.monotonicMs();
    if (isQuery(sql)) await this.#query(sql);
    else await this.#execute(sql);
    if (this.#timer) {
      const ms = this.#around.clock.monotonicMs() - startMs;
      this.#around.write(`${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms\n`);
    }
    return true;
  }

  /** A line that begins with a dot. False when the shell is to end. */
  async dot(line: string): Promise<boolean> {
    const [name = "", argument, ...more] = line.replace(/;$/, "").split(/\s+/);
    if (more.length > 0) throw new UsageError(`${name} takes one word at most`);
    switch (name) {
      case ".quit":
      case ".exit":
        return false;
      case ".help":
        this.#around.write(helpText());
        return true;
      case ".tables":
        return await this.#tables();
      case ".schema":
        return await this.#schema(argument);
      case ".mode":
        return this.#setMode(argument);
      case ".timer":
        if (argument !== "on" && argument !== "off") {
          throw new UsageError(".timer on, or .timer off");
        }
        this.#timer = argument === "on";
        return true;
      default: {
        const near = nearest(name, DOTS.map(([text]) => text.split(" ")[0] ?? text));
        const hint = near === null ? ".help lists what there is" : `did you mean ${near}?`;
        throw new UsageError(`There is no ${name}; ${hint}`);
      }
    }
  }

  async #query(sql: string): Promise<void> {
    const result = await this.#read(sql);
    this.#around.write(formatRows(result, this.#mode, this.#around.columns()));
    if (this.#mode === "table") {
      this.#around.write(`${countText(result.rows.length, "row")}, epoch ${result.epoch}\n`);
    }
  }

  async #execute(sql: string): Promise<void> {
    const answer = await execute(this.#client, this.#around, this.database, {
      statements: [{ sql }],
    });
    const parsed = parseAnswer<ExecuteResult>(answer.text);
    this.#written = Math.max(this.#written, parsed.epoch);
    if (this.#mode === "table") {
      this.#around.write(executeText(parsed, this.#around.columns()));
      return;
    }
    for (const { columns, rows } of parsed.results) {
      if (!columns || !rows) continue;
      this.#around.write(formatRows({ columns, rows }, this.#mode, this.#around.columns()));
    }
  }

  async #read(sql: string, params: readonly string[] = []): Promise<QueryResult> {
    const { text } = await this.#client.text({
      method: "POST",
      path: `${databasePath(this.database)}/query`,
      body: { sql, params, ...(this.#written > 0 ? { min_epoch: this.#written } : {}) },
    });
    return parseAnswer<QueryResult>(text);
  }

  async #tables(): Promise<boolean> {
    const { rows } = await this.#read(
      "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') " +
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_headgate\\_%' ESCAPE '\\' " +
        "ORDER BY name",
    );
    this.#around.write(rows.map(([name]) => `${String(name)}\n`).join(""));
    return true;
  }

  async #schema(name: string | undefined): Promise<boolean> {
    const filter = name === undefined ? "" : "AND tbl_name = ? COLLATE NOCASE ";
    const { rows } = await this.#read(
      "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL " +
        `AND name NOT LIKE '\\_headgate\\_%' ESCAPE '\\' ${filter}ORDER BY tbl_name, type DESC, name`,
      name === undefined ? [] : [name],
    );
    this.#around.write(rows.map(([sql]) => `${String(sql)};\n`).join(""));
    return true;
  }

  #setMode(mode: string | undefined): boolean {
    if (mode === undefined) {
      this.#around.write(`${this.#mode}\n`);
      return true;
    }
    if (!isTableMode(mode)) {
      throw new UsageError(`There is no mode ${mode}: table, line, csv or json`);
    }
    this.#mode = mode;
    return true;
  }
}

/** What may be a query is one; all else, wrong statements included, is for `execute` to judge. */
function isQuery(sql: string): boolean {
  try {
    return checkStatement(sql, "query").reads;
  } catch (error) {
    if (!isFailure(error)) throw error;
    return false;
  }
}

function helpText(): string {
  const rows = DOTS.map(([name, help]) => `  ${name.padEnd(16)}${help}\n`).join("");
  return `${rows}Everything else is SQL, up to a semicolon. Each statement is a transaction.\n`;
}
