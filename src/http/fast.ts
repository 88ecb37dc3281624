/**
 * The hot path: `execute` and `query` are matched here, before Hono, and answered by plain code.
 */
import { failureAnswer, fileAnswer, JSON_TYPE, NDJSON_TYPE, textAnswer } from "./answer.ts";
import type { WriteRequest } from "../database/statement.ts";
import type { Caller } from "./access.ts";
import type { BodyReader } from "./body.ts";
import type { Guard } from "./guard.ts";
import type { QueryRequest } from "./node.ts";
import type { HttpParts } from "./parts.ts";
import {
  databaseName,
  idempotencyKey,
  parseExecute,
  parseQuery,
  type Writable,
  writableDatabase,
} from "./requests.ts";

export interface SqlRoute {
  readonly action: "execute" | "query";
  readonly database: string;
}

const PREFIX = "/v1/databases/";
const NOT_PLAIN = /[?%]/;

/** Null for anything but the plain spelling of the two paths; Hono takes the rest. */
export function matchSql(url: string): SqlRoute | null {
  // "http://" is the shortest that can stand before the host.
  const start = url.indexOf("/", 8);
  if (!url.startsWith(PREFIX, start)) return null;
  const slash = url.indexOf("/", start + PREFIX.length);
  if (slash < 0) return null;
  const action = url.endsWith("/execute") ? "execute" : url.endsWith("/query") ? "query" : null;
  if (action === null || slash !== url.length - action.length - 1 || NOT_PLAIN.test(url)) {
    return null;
  }
  return { action, database: url.slice(start + PREFIX.length, slash) };
}

export class SqlHandler {
  readonly #parts: HttpParts;
  readonly #bodies: BodyReader;
  readonly #guard: Guard;

  constructor(parts: HttpParts, bodies: BodyReader, guard: Guard) {
    this.#parts = parts;
    this.#bodies = bodies;
    this.#guard = guard;
  }

  // One asynchronous function a request: each further one would cost what all of its parsing does.
  async answer(route: SqlRoute, request: Request): Promise<Response> {
    const arrivedMs = this.#parts.clock.monotonicMs();
    try {
      const caller = this.#guard.callerOf(request);
      if (route.action === "execute") {
        this.#guard.demandDatabase(caller, "write", databaseName(route.database));
        writableDatabase(route.database);
      } else this.#guard.demandDatabase(caller, "read", databaseName(route.database));
      const body = this.#bodies.parse(await this.#bodies.read(request));
      if (route.action === "query") {
        return await this.#query(route.database, request, body, arrivedMs);
      }
      const answer = await this.#parts.node.databases.execute(
        route.database,
        this.#writeOf(request, body, caller, arrivedMs),
      );
      return textAnswer(this.#parts, answer.text, answer.epoch);
    } catch (error) {
      return failureAnswer(this.#parts, error, request);
    }
  }

  #writeOf(request: Request, json: unknown, caller: Caller, arrivedMs: number): WriteRequest {
    const body = parseExecute(json);
    const key = idempotencyKey(request.headers.get("idempotency-key"), body.idempotencyKey);
    const write: Writable<WriteRequest> = {
      statements: body.statements,
      subject: caller.subject,
      deadlineMs: arrivedMs + (body.timeoutMs ?? this.#parts.limits.writeTimeoutMs),
    };
    if (key !== undefined) write.idempotencyKey = key;
    return write;
  }

  async #query(
    database: string,
    request: Request,
    json: unknown,
    arrivedMs: number,
  ): Promise<Response> {
    const { node, limits } = this.#parts;
    const body = parseQuery(json);
    const byLine = wantsLines(request.headers.get("accept"));
    const read: Writable<QueryRequest> = {
      sql: body.sql,
      level: body.level,
      deadlineMs: arrivedMs + (body.timeoutMs ?? limits.readTimeoutMs),
      byLine,
      resultBytesMax: limits.resultBytesMax,
    };
    if (body.params !== undefined) read.params = body.params;
    if (body.minEpoch !== undefined) read.minEpoch = body.minEpoch;
    const answer = await node.databases.query(database, read);
    const type = byLine ? NDJSON_TYPE : JSON_TYPE;
    if ("text" in answer) return textAnswer(this.#parts, answer.text, answer.epoch, type);
    return await fileAnswer(this.#parts, answer, { "content-type": type });
  }
}

function wantsLines(accept: string | null): boolean {
  return accept !== null && accept.length >= NDJSON_TYPE.length &&
    accept.toLowerCase().includes(NDJSON_TYPE);
}
