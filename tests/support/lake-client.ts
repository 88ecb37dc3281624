/**
 * A client of lakes at one node, over HTTP/2 by prior knowledge: bodies and answers of any type, and
 * every request is sent once. Only what the leader alone does is sent again, to where the answer
 * points.
 */
import { type ClientHttp2Session, connect } from "node:http2";
import { NoAnswer } from "./client.ts";

export const NDJSON = "application/x-ndjson";
export const CSV = "text/csv";
export const ARROW = "application/vnd.apache.arrow.stream";

export interface LakeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Buffer;
  // deno-lint-ignore no-explicit-any -- tests look into answers freely
  readonly body: any;
}

export interface RowsOptions {
  readonly type?: string;
  readonly encoding?: string;
  readonly key?: string;
  readonly create?: boolean;
  readonly ack?: "visible" | "stored";
  readonly timeoutMs?: number;
}

const ANSWER_MS = 40_000;
/** Of bodies that wait for the node to take them; the default is 10. */
const SESSION_MEMORY_MB = 4_096;

export class LakeClient {
  readonly url: string;
  readonly #token: string | undefined;
  #session: ClientHttp2Session | null = null;

  constructor(url: string, token?: string) {
    this.url = url;
    this.#token = token;
  }

  /** Sends rows; `table` may name its schema. */
  rows(
    lake: string,
    table: string,
    body: string | Uint8Array,
    options: RowsOptions = {},
  ): Promise<LakeAnswer> {
    const { type = NDJSON, encoding, key, create = false, ack, timeoutMs } = options;
    const parameters = new URLSearchParams({
      ...(create && { create: "true" }),
      ...(ack !== undefined && { ack }),
      ...(timeoutMs !== undefined && { timeout_ms: `${timeoutMs}` }),
    });
    const query = parameters.size > 0 ? `?${parameters}` : "";
    const path = `/v1/lakes/${lake}/tables/${encodeURIComponent(table)}/rows${query}`;
    return this.request("POST", path, body, {
      "content-type": type,
      ...(encoding !== undefined && { "content-encoding": encoding }),
      ...(key !== undefined && { "idempotency-key": key }),
    });
  }

  query(lake: string, sql: string, more: object = {}, accept?: string): Promise<LakeAnswer> {
    const headers = accept === undefined ? {} : { accept };
    return this.json("POST", `/v1/lakes/${lake}/query`, { sql, ...more }, headers);
  }

  /** The rows of a query; throws when it is refused. */
  async select(lake: string, sql: string, more: object = {}): Promise<unknown[][]> {
    return must(await this.query(lake, sql, more)).rows;
  }

  get(path: string): Promise<LakeAnswer> {
    return this.request("GET", path);
  }

  json(
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<LakeAnswer> {
    const all = { "content-type": "application/json", ...headers };
    return this.request(method, path, JSON.stringify(body), all);
  }

  /** What the leader alone does, wherever it is asked for. */
  async atLeader(method: string, path: string, body?: unknown): Promise<LakeAnswer> {
    const answer = body === undefined
      ? await this.request(method, path)
      : await this.json(method, path, body);
    if (answer.status !== 307) return answer;
    const leader = new LakeClient(new URL(String(answer.headers["location"])).origin, this.#token);
    try {
      return await leader.atLeader(method, path, body);
    } finally {
      leader.close();
    }
  }

  async create(lake: string): Promise<LakeAnswer> {
    return await this.atLeader("POST", "/v1/lakes", { name: lake });
  }

  async createTable(
    lake: string,
    name: string,
    columns: readonly { readonly name: string; readonly type: string; nullable?: boolean }[],
  ): Promise<LakeAnswer> {
    return await this.atLeader("POST", `/v1/lakes/${lake}/tables`, { name, columns });
  }

  /** Rejects with `NoAnswer`. */
  request(
    method: string,
    path: string,
    body?: string | Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<LakeAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<LakeAnswer>();
    const fail = (why: string) => reject(new NoAnswer(`${method} ${path}: ${why}`));
    const stream = this.#connection().request({
      ":method": method,
      ":path": path,
      ...headers,
      ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
    });
    const timer = setTimeout(() => {
      fail(`no answer within ${ANSWER_MS} ms`);
      stream.close();
    }, ANSWER_MS);
    let found: LakeAnswer["headers"] = {};
    const pieces: Buffer[] = [];
    stream.on("response", (given) => found = given as typeof found);
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("error", (error) => fail(String(error)));
    stream.on("end", () => {
      const status = Number(found[":status"] ?? 0);
      if (status === 0) return fail("the stream ended without an answer");
      if (stream.rstCode !== 0) return fail(`the stream was reset with ${stream.rstCode}`);
      resolve(new Received(status, found, Buffer.concat(pieces)));
    });
    stream.on("close", () => {
      clearTimeout(timer);
      fail("the stream was closed");
    });
    stream.end(body);
    return promise;
  }

  close(): void {
    this.#session?.destroy();
    this.#session = null;
  }

  #connection(): ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = connect(this.url, { maxSessionMemory: SESSION_MEMORY_MB });
    // Each stream says it too.
    session.on("error", () => {});
    this.#session = session;
    return session;
  }
}

class Received implements LakeAnswer {
  readonly status: number;
  readonly headers: LakeAnswer["headers"];
  readonly bytes: Buffer;

  constructor(status: number, headers: LakeAnswer["headers"], bytes: Buffer) {
    this.status = status;
    this.headers = headers;
    this.bytes = bytes;
  }

  /** As JSON where it says so, else as text. */
  get body(): unknown {
    const isJson = String(this.headers["content-type"] ?? "").startsWith("application/json");
    return isJson ? JSON.parse(this.bytes.toString()) : this.bytes.toString();
  }
}

/** The body of an answer that must be a success. */
export function must(answer: LakeAnswer): LakeAnswer["body"] {
  if (answer.status < 300) return answer.body;
  throw new Error(`refused with ${answer.status}: ${answer.bytes.toString().slice(0, 500)}`);
}

/** Rows as NDJSON. */
export function lines(rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}
