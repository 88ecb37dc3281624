/** What a test asks a node over HTTP: SQL, whole databases, figures. */
type Json = unknown;

export interface Statement {
  readonly sql: string;
  readonly params?: readonly Json[] | Readonly<Record<string, Json>>;
}

export interface Execute {
  readonly statements: readonly Statement[];
  readonly idempotency_key?: string;
  readonly timeout_ms?: number;
}

export interface Query extends Statement {
  readonly level?: string;
  readonly min_epoch?: number;
  readonly timeout_ms?: number;
}

export interface Answer {
  readonly status: number;
  readonly ms: number;
  readonly body: {
    readonly results?: readonly {
      readonly rows_affected: number;
      readonly last_insert_id: number | null;
      readonly columns?: readonly string[];
      readonly rows?: readonly (readonly Json[])[];
    }[];
    readonly columns?: readonly string[];
    readonly rows?: readonly (readonly Json[])[];
    readonly epoch?: number;
    readonly error?: {
      readonly kind: string;
      readonly message: string;
      readonly details?: Readonly<Record<string, Json>>;
    };
  };
}

export interface Information {
  readonly head: number;
  readonly tip: number;
  readonly checksum: string | null;
  readonly snapshot: number;
  readonly size_bytes: number;
}

export class SqlClient {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  /** One transaction, whatever its outcome. */
  send(database: string, body: Execute): Promise<Answer> {
    return this.#post(`/v1/databases/${database}/execute`, body);
  }

  /** One read, whatever its outcome. */
  ask(database: string, body: Query): Promise<Answer> {
    return this.#post(`/v1/databases/${database}/query`, body);
  }

  /** One transaction that must succeed. Answers its epoch. */
  async execute(database: string, statements: readonly (string | Statement)[]): Promise<number> {
    const answer = await this.send(database, {
      statements: statements.map((item) => typeof item === "string" ? { sql: item } : item),
      timeout_ms: 60_000,
    });
    return succeeded(answer, "execute").epoch ?? 0;
  }

  /** The rows of a linearizable read that must succeed. */
  async query(
    database: string,
    sql: string,
    params?: Statement["params"],
  ): Promise<readonly (readonly Json[])[]> {
    const body = { sql, level: "linearizable", ...(params === undefined ? {} : { params }) };
    return succeeded(await this.ask(database, body), sql).rows ?? [];
  }

  async create(name: string, pageSize?: number): Promise<void> {
    const body = { name, ...(pageSize === undefined ? {} : { page_size: pageSize }) };
    succeeded(await this.#post("/v1/databases", body), `create ${name}`);
  }

  async inspect(name: string): Promise<Information> {
    return await this.#get(`/v1/databases/${name}`).then((answer) => answer.json()) as Information;
  }

  async export(name: string, epoch?: number): Promise<Uint8Array> {
    const at = epoch === undefined ? "" : `?epoch=${epoch}`;
    return await this.#get(`/v1/databases/${name}/export${at}`).then((answer) => answer.bytes());
  }

  /** `headgate_x{a="b"}` → value. */
  async metrics(): Promise<Map<string, number>> {
    const text = await this.#get("/metrics").then((answer) => answer.text());
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }));
  }

  async #get(path: string): Promise<Response> {
    const answer = await fetch(this.url + path);
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  async #post(path: string, body: Json): Promise<Answer> {
    const startedMs = performance.now();
    const answer = await fetch(this.url + path, {
      method: "POST",
      redirect: "manual",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const parsed = await answer.json() as Answer["body"];
    return { status: answer.status, ms: performance.now() - startedMs, body: parsed };
  }
}

function succeeded({ status, body }: Answer, action: string): Answer["body"] {
  if (status < 300) return body;
  throw new Error(`${action}: ${status} ${body.error?.kind}: ${body.error?.message}`);
}
