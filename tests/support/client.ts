/**
 * A client that sends a request once and says what it knows: an answer, or that there was none. It
 * speaks HTTP/2 by prior knowledge over one connection; `fetch` would send a request again by itself
 * when a connection breaks, and a write would be done twice through no fault of the server.
 */
import { type ClientHttp2Session, connect } from "node:http2";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  // deno-lint-ignore no-explicit-any -- tests look into answers freely
  readonly body: any;
}

/** The connection broke or stayed silent: whether the request was carried out is not known. */
export class NoAnswer extends Error {}

const ANSWER_MS = 20_000;

export class Client {
  readonly url: string;
  readonly #answerMs: number;
  readonly #token: string | undefined;
  #session: ClientHttp2Session | null = null;

  /** `answerMs` is how long it waits for an answer. */
  constructor(url: string, options: { readonly token?: string; readonly answerMs?: number } = {}) {
    this.url = url;
    this.#token = options.token;
    this.#answerMs = options.answerMs ?? ANSWER_MS;
  }

  execute(database: string, sql: string, params: unknown[] = [], more = {}): Promise<Answer> {
    return this.statements(database, [{ sql, params }], more);
  }

  statements(database: string, statements: unknown[], more = {}): Promise<Answer> {
    return this.request("POST", `/v1/databases/${database}/execute`, { statements, ...more });
  }

  query(database: string, sql: string, params: unknown[] = [], more = {}): Promise<Answer> {
    return this.request("POST", `/v1/databases/${database}/query`, { sql, params, ...more });
  }

  /** The rows of a query; throws when it is refused. */
  async rows(database: string, sql: string, params: unknown[] = []): Promise<unknown[][]> {
    return must(await this.query(database, sql, params)).rows;
  }

  create(name: string, more = {}): Promise<Answer> {
    return this.request("POST", "/v1/databases", { name, ...more });
  }

  drop(name: string): Promise<Answer> {
    return this.request("DELETE", `/v1/databases/${name}`);
  }

  rollback(name: string, epoch: number): Promise<Answer> {
    return this.request("POST", `/v1/databases/${name}/rollback`, { epoch });
  }

  get(path: string): Promise<Answer> {
    return this.request("GET", path);
  }

  /** Rejects with `NoAnswer`. */
  request(
    method: string,
    path: string,
    body?: unknown,
    timeoutMs = this.#answerMs,
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const fail = (why: string) => reject(new NoAnswer(`${method} ${path}: ${why}`));
    const stream = this.#connection().request({
      ":method": method,
      ":path": path,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
    });
    const timer = setTimeout(() => {
      fail(`no answer within ${timeoutMs} ms`);
      stream.close();
    }, timeoutMs);
    let headers: Record<string, string | string[] | undefined> = {};
    let text = "";
    stream.setEncoding("utf8");
    stream.on("response", (found) => {
      headers = found as typeof headers;
    });
    stream.on("data", (chunk: string) => text += chunk);
    stream.on("error", (error) => fail(String(error)));
    stream.on("end", () => {
      const status = Number(headers[":status"] ?? 0);
      const type = String(headers["content-type"] ?? "");
      try {
        if (status === 0) throw new Error("the stream ended without an answer");
        resolve({ status, headers, body: type.includes("json") ? JSON.parse(text) : text });
      } catch (error) {
        fail(`${error}: ${text.slice(0, 200)}`);
      }
    });
    stream.on("close", () => {
      clearTimeout(timer);
      fail("the stream was closed");
    });
    stream.end(body === undefined ? undefined : JSON.stringify(body));
    return promise;
  }

  close(): void {
    this.#session?.destroy();
    this.#session = null;
  }

  #connection(): ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = connect(this.url);
    // Each stream says it too.
    session.on("error", () => {});
    this.#session = session;
    return session;
  }
}

/** The body of an answer that must be a success. */
export function must(answer: Answer): Answer["body"] {
  if (answer.status < 300) return answer.body;
  throw new Error(`refused with ${answer.status}: ${JSON.stringify(answer.body)}`);
}
