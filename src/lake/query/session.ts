/** One query in its child, from its order to the last piece of its result. */
import { type DuckDBPreparedStatement, type DuckDBResult, StatementType } from "@duckdb/node-api";
import { Failure } from "../../base/failure.ts";
import { bindParameters } from "./bind-parameters.ts";
import { duckdbFailure } from "./duckdb-failure.ts";
import type { TableName } from "./lake-query.ts";
import { LockedDuckdb } from "./locked-duckdb.ts";
import type { ChildFailure, QueryOrder } from "./message.ts";
import { type Piece, resultWriter } from "./result-writer.ts";
import { type CheckedStatement, checkStatement } from "./statement-gate.ts";

/** Resolves when the piece is on its way and another may come; rejects when none is wanted. */
export type SendPiece = (piece: Piece) => Promise<void>;

const INSPECT = { memoryBytesMax: 64 * 1024 * 1024, threads: 1 };

export class Session {
  #interrupted = false;
  #duckdb: LockedDuckdb | null = null;

  /** What went wrong, or null. */
  async run(order: QueryOrder, send: SendPiece): Promise<ChildFailure | null> {
    try {
      const duckdb = this.#duckdb = await LockedDuckdb.open(order);
      const checked = await checkStatement(order.sql, duckdb.parse);
      await duckdb.lock(order.tables);
      const statement = await prepare(duckdb, checked);
      bindParameters(statement, order.params);
      this.#checkInterrupt();
      await duckdb.connection.run("BEGIN TRANSACTION");
      await this.#stream(await statement.stream(), order, send);
      return null;
    } catch (error) {
      return this.#duckdb?.failure(error) ?? duckdbFailure(error);
    } finally {
      this.#close();
    }
  }

  /** The names of tables in a statement; null when it asks for all of the lake's tables. */
  async inspect(sql: string): Promise<readonly TableName[] | null | ChildFailure> {
    try {
      const duckdb = this.#duckdb = await LockedDuckdb.open(INSPECT);
      await duckdb.lock([]);
      const { tables, readsCatalog } = await checkStatement(sql, duckdb.parse);
      return readsCatalog ? null : tables;
    } catch (error) {
      return duckdbFailure(error);
    } finally {
      this.#close();
    }
  }

  /** The query ends soon, with a failure that nobody waits for. */
  interrupt(): void {
    this.#interrupted = true;
    this.#duckdb?.connection.interrupt();
  }

  async #stream(result: DuckDBResult, order: QueryOrder, send: SendPiece): Promise<void> {
    const columns = result.columnTypes().map((type, at) => ({ name: result.columnName(at), type }));
    const writer = resultWriter(order.format, columns);
    let bytes = 0;
    let rows = 0;
    const sendAll = async (pieces: Iterable<Piece>) => {
      for (const piece of pieces) {
        bytes += typeof piece === "string" ? Buffer.byteLength(piece) : piece.length;
        if (bytes > order.resultBytesMax) throw tooLargeResult(order.resultBytesMax);
        await send(piece);
        this.#checkInterrupt();
      }
    };
    for (;;) {
      const chunk = await result.fetchChunk();
      this.#checkInterrupt();
      if (chunk === null || chunk.rowCount === 0) break;
      rows += chunk.rowCount;
      await sendAll(writer.chunk(chunk.getColumns(), chunk.rowCount));
    }
    await this.#checkWhole(rows);
    await sendAll(writer.end());
  }

  /**
   * The driver gives an error in the middle of a result as its end, and does not say which it was.
   * The transaction tells: after an error it takes no other statement.
   */
  async #checkWhole(rows: number): Promise<void> {
    try {
      await this.#duckdb?.connection.run("SELECT 1");
    } catch (cause) {
      const message = `Cannot run this query: it failed at a row after the first ${rows} of its ` +
        "result, by a value that cannot be converted, for example";
      throw new Failure("invalid", message, { cause, details: { reason: "row" } });
    }
  }

  #checkInterrupt(): void {
    if (this.#interrupted) throw new Failure("unavailable", "Cannot run this query: interrupted");
  }

  #close(): void {
    this.#duckdb?.close();
    this.#duckdb = null;
  }
}

/** What the gate let through is prepared as it is; what DuckDB makes of it must still be a SELECT. */
async function prepare(
  { connection }: LockedDuckdb,
  { sql }: CheckedStatement,
): Promise<DuckDBPreparedStatement> {
  const extracted = await connection.extractStatements(sql);
  const statement = extracted.count === 1 ? await extracted.prepare(0) : null;
  const type = statement?.statementType;
  if (statement && (type === StatementType.SELECT || type === StatementType.EXPLAIN)) {
    return statement;
  }
  throw new Failure("invalid", "Cannot run this query: it is not one SELECT statement");
}

function tooLargeResult(bytesMax: number): Failure {
  return new Failure(
    "too_large",
    `Cannot run this query: its result has more than ${bytesMax} bytes`,
    { details: { reason: "result", result_bytes_max: bytesMax } },
  );
}
