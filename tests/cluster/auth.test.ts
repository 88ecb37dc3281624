/**
 * Who may do what, by the binary: a node that requires tokens, the command line that makes them of
 * the bucket alone, users, revocations on every node, and nothing secret in any error or log.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { sign } from "hono/jwt";
import { type S3Settings, storeUrl } from "../../src/store/url.ts";
import { type Answer, Client, must } from "../support/client.ts";
import { NodeFolder, type NodeProcess } from "../support/node-process.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";

const PASSWORD = "correct horse battery staple";
const AUTH = { "auth.required": "true", "log.level": "debug" };
/** A follower without a link looks at the store every 10 s at least. */
const SECONDS = 30_000;

const nodes = new NodeFolder();
const server = await s3Server();
let store: string;
let node: NodeProcess;
let secret: string;
let adminToken: string;
let admin: Client;

beforeAll(async () => {
  store = nodes.fileStore();
  node = await nodes.node({ store, set: AUTH }).start();
  secret = JSON.parse(
    readFileSync(join(store.slice(7), "cluster_state/cluster_secret.json"), "utf8"),
  ).secret;
  adminToken = (await headgate(["token", "create", "--store", store])).out.trim();
  admin = node.client(adminToken);
  for (const name of ["orders", "shop-eu"]) {
    must(await admin.create(name));
    must(await admin.execute(name, "CREATE TABLE t (x)"));
  }
}, 60_000);
afterAll(() => nodes.remove());

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One command of the binary under test. */
async function headgate(
  args: readonly string[],
  { input = "", environment = {} as Record<string, string> } = {},
): Promise<Ran> {
  const binary = process.env["HEADGATE_BINARY"];
  const program = binary ? [binary] : [process.execPath, join(import.meta.dir, "../../main.ts")];
  const child = Bun.spawn([...program, ...args], {
    cwd: nodes.path,
    env: { ...process.env, ...environment },
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

const command = (...args: string[]) => [...args, "--url", node.url];
const asAdmin = () => ({ environment: { HEADGATE_TOKEN: adminToken } });

async function mint(body: Record<string, unknown>): Promise<{ token: string; jti: string }> {
  return must(await admin.request("POST", "/v1/tokens", { subject: "ci", ...body }));
}

const reasonOf = ({ status, body }: Answer) => [status, body.error?.details?.reason];

/** The first answer that has this status; the last one when none comes in time. */
async function until(status: number, ask: () => Promise<Answer>): Promise<Answer> {
  for (const endMs = performance.now() + SECONDS;;) {
    const answer = await ask();
    if (answer.status === status || performance.now() > endMs) return answer;
    await Bun.sleep(100);
  }
}

/** Of a request whose head is sent as it is, without its end. */
function rawStatus(head: string): Promise<number> {
  const { hostname, port } = new URL(node.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`${head}Connection: close\r\n\r\n`);
    });
    socket.once("data", (bytes) => resolve(Number(bytes.toString("latin1").split(" ")[1])));
    socket.once("error", reject);
  });
}

describe("without a token", () => {
  test("there is health and nothing else", async () => {
    const nobody = node.client();
    expect((await nobody.get("/health/live")).status).toBe(200);
    expect((await nobody.get("/health/ready")).status).toBe(200);
    const refused = await Promise.all([
      nobody.get("/metrics"),
      nobody.get("/v1/cluster"),
      nobody.get("/v1/databases"),
      nobody.get("/v1/users"),
      nobody.create("mine"),
      nobody.query("orders", "SELECT 1"),
      nobody.execute("orders", "DELETE FROM t"),
      nobody.drop("orders"),
      nobody.get("/nowhere"),
    ]);
    for (const answer of refused) {
      expect(reasonOf(answer)).toEqual([401, "token_missing"]);
      expect(answer.headers["www-authenticate"]).toBe('Bearer realm="headgate"');
    }
    const listed = await headgate(command("db", "list"));
    expect([listed.code, listed.out]).toEqual([1, ""]);
    expect(listed.err).toContain("headgate token create makes one");
    nobody.close();
  });

  test("a node on loopback that says nothing of tokens serves everybody, and says so", async () => {
    const open = await nodes.node({ store: nodes.fileStore() }).start();
    expect((await open.client().get("/v1/databases")).status).toBe(200);
    expect(open.log).toContain("anybody on this machine may use it: no tokens needed");
    expect(node.log).toContain("requests need a token");
    await open.kill();
  }, 60_000);
});

describe("a token is refused", () => {
  const jti = "0123456789abcdef0123456789abcdef";
  const iat = () => Math.floor(Date.now() / 1000);
  const claims = () => ({
    ...{ sub: "mallory", kind: "user", jti, iat: iat(), exp: iat() + 600, scopes: ["admin"] },
  });
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const ask = async (token: string) => {
    const client = node.client(token);
    const answers = [
      await client.query("orders", "SELECT 1"),
      await client.get("/v1/users"),
    ];
    client.close();
    return answers.map(reasonOf);
  };
  const twice = (reason: string) => [[401, reason], [401, reason]];

  test("of the right shape and secret it is not: the others fail for what they are", async () => {
    const good = await sign(claims(), secret, "HS256");
    expect((await node.client(good).get("/v1/users")).status).toBe(200);
  });

  test("that another secret signed", async () => {
    expect(await ask(await sign(claims(), "f".repeat(64), "HS256"))).toEqual(
      twice("token_invalid"),
    );
  });

  test("that another cluster signed", async () => {
    const other = nodes.fileStore();
    const neighbour = await nodes.node({ store: other }).start();
    const { out } = await headgate(["token", "create", "--store", other]);
    expect(await ask(out.trim())).toEqual(twice("token_invalid"));
    await neighbour.kill();
  }, 60_000);

  test("without a signature, by whatever algorithm it names", async () => {
    for (const alg of ["none", "None", "NONE", "HS256"]) {
      const unsigned = `${part({ alg, typ: "JWT" })}.${part(claims())}`;
      expect(await ask(`${unsigned}.`)).toEqual(twice("token_invalid"));
      expect(await ask(unsigned)).toEqual(twice("token_invalid"));
    }
  });

  test("of another algorithm, by the same secret", async () => {
    for (const alg of ["HS384", "HS512"] as const) {
      expect(await ask(await sign(claims(), secret, alg))).toEqual(twice("token_invalid"));
    }
  });

  test("that was changed", async () => {
    const { token } = await mint({ scopes: ["read:shop-*"] });
    const [header, payload = "", signature] = token.split(".");
    const read = JSON.parse(Buffer.from(payload, "base64url").toString());
    const more = part({ ...read, scopes: ["admin"] });
    expect(await ask(`${header}.${more}.${signature}`)).toEqual(twice("token_invalid"));
    expect(await ask(`${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`))
      .toEqual(twice("token_invalid"));
  });

  test("that has expired, on a node that knew it well", async () => {
    const { token } = await mint({ scopes: ["read:*"], expires_in_s: 1 });
    const client = node.client(token);
    await client.query("orders", "SELECT 1");
    const answer = await until(401, () => client.query("orders", "SELECT 1"));
    expect(reasonOf(answer)).toEqual([401, "token_expired"]);
    client.close();
  }, 60_000);

  test("that comes with another one, whichever is good", async () => {
    for (const pair of [[adminToken, "x"], ["x", adminToken], [adminToken, adminToken]]) {
      const lines = pair.map((token) => `Authorization: Bearer ${token}\r\n`).join("");
      expect(await rawStatus(`GET /v1/users HTTP/1.1\r\nHost: x\r\n${lines}`)).toBe(401);
    }
    const one = `GET /v1/users HTTP/1.1\r\nHost: x\r\nauthorization: bEARER  ${adminToken}\r\n`;
    expect(await rawStatus(one)).toBe(200);
  });

  test("that is as long as a header may be", async () => {
    expect(await ask("x".repeat(8_193))).toEqual(twice("token_invalid"));
  });
});

describe("a token allows", () => {
  /** Statuses of what may be asked of a database, and of the cluster. */
  async function asked(scopes: string[], name: string): Promise<Record<string, number>> {
    const { token } = await mint({ scopes });
    const client = node.client(token);
    const answers = {
      query: await client.query(name, "SELECT count(*) FROM sqlite_schema"),
      inspect: await client.get(`/v1/databases/${name}`),
      export: await client.get(`/v1/databases/${name}/export`),
      execute: await client.execute(name, "SELECT 1"),
      rollback: await client.rollback(name, 2),
      create: await client.create(name),
      status: await client.get("/v1/cluster"),
      users: await client.get("/v1/users"),
    };
    client.close();
    return Object.fromEntries(Object.entries(answers).map(([what, { status }]) => [what, status]));
  }
  const none = {
    ...{ query: 403, inspect: 403, export: 403, execute: 403, rollback: 403, create: 403 },
    ...{ status: 200, users: 403 },
  };
  const read = { query: 200, inspect: 200, export: 200 };

  test("what its scopes name and nothing else", async () => {
    expect(await asked([], "orders")).toEqual(none);
    expect(await asked(["read:orders"], "orders")).toEqual({ ...none, ...read });
    expect(await asked(["read:orders"], "shop-eu")).toEqual(none);
    expect(await asked(["read:shop-*"], "shop-eu")).toEqual({ ...none, ...read });
    expect(await asked(["write:orders"], "orders")).toEqual({ ...none, execute: 200 });
    expect(await asked(["write:shop-*", "read:*"], "orders")).toEqual({ ...none, ...read });
    expect(await asked(["ingest:*"], "orders")).toEqual(none);
    expect(await asked(["admin"], "orders")).toEqual({
      ...read,
      ...{ execute: 200, rollback: 200, create: 409, status: 200, users: 200 },
    });
  });

  test("the cluster's own database to an admin alone, and to read", async () => {
    const all = ["read:*", "write:*", "ingest:*"];
    expect(await asked(all, "system")).toEqual(none);
    expect(await asked(["admin"], "system")).toMatchObject({
      ...{ query: 200, inspect: 200, export: 200, execute: 403, rollback: 403, create: 400 },
    });
  });

  test("to be told what is missing", async () => {
    const { token } = await mint({ scopes: ["read:shop-*"] });
    const answer = await node.client(token).execute("shop-eu", "DELETE FROM t");
    expect(answer.body.error).toEqual({
      kind: "denied",
      message: "Cannot write shop-eu: the token of ci lacks the scope write:shop-eu",
      details: { reason: "scope_missing", scope: "write:shop-eu" },
    });
  });

  test("to see the databases that it may read", async () => {
    const { token } = await mint({ scopes: ["read:shop-*"] });
    const { databases } = must(await node.client(token).get("/v1/databases"));
    expect(databases.map(({ name }: { name: string }) => name)).toEqual(["shop-eu"]);
  });
});

test("an idempotency key belongs to the name in the token", async () => {
  const key = { idempotency_key: "the same" };
  const write = async (subject: string) => {
    const { token } = await mint({ subject, scopes: ["write:orders"] });
    return must(
      await node.client(token).execute("orders", "INSERT INTO t VALUES (?)", ["kept"], key),
    );
  };
  const [bob, alice, again] = [await write("bob"), await write("alice"), await write("bob")];
  expect(again).toEqual(bob);
  expect(alice.epoch).not.toBe(bob.epoch);
  expect(await admin.rows("orders", "SELECT count(*) FROM t WHERE x = 'kept'")).toEqual([[2]]);
});

describe("revoking", () => {
  test(
    "takes effect at once on the leader, within seconds on a follower, and for ever",
    async () => {
      const follower = await nodes.node({ store, set: AUTH }).start();
      const { token, jti } = await mint({ scopes: ["read:*"] });
      const other = await mint({ scopes: ["read:*"] });
      const [here, there] = [node.client(token), follower.client(token)];
      expect((await here.query("orders", "SELECT 1")).status).toBe(200);
      expect((await until(200, () => there.query("orders", "SELECT 1"))).status).toBe(200);

      expect(must(await admin.request("DELETE", `/v1/tokens/${jti}`))).toMatchObject({ jti });
      expect(reasonOf(await here.query("orders", "SELECT 1"))).toEqual([401, "token_revoked"]);
      const seen = await until(401, () => there.query("orders", "SELECT 1"));
      expect(reasonOf(seen)).toEqual([401, "token_revoked"]);
      const kept = follower.client(other.token);
      expect((await kept.query("orders", "SELECT 1")).status).toBe(200);

      // An admin's change at the follower is the leader's to make.
      const sent = await follower.client(adminToken).request("DELETE", `/v1/tokens/${other.jti}`);
      expect([sent.status, sent.body.error.leader]).toEqual([307, node.url]);
      const revoked = await headgate(
        ["token", "revoke", other.jti, "--url", follower.url],
        asAdmin(),
      );
      expect([revoked.code, revoked.err]).toEqual([0, ""]);
      await follower.kill();

      for (const client of [here, there, kept]) client.close();
      admin.close();
      await node.kill();
      await node.start();
      expect(reasonOf(await node.client(token).get("/v1/cluster"))).toEqual([401, "token_revoked"]);
      expect(reasonOf(await node.client(other.token).get("/v1/cluster")))
        .toEqual([401, "token_revoked"]);
      expect((await admin.get("/v1/cluster")).status).toBe(200);
    },
    120_000,
  );
});

describe("a user", () => {
  const user = (...args: string[]) => command("user", ...args);
  const login = (input: string, name = "alice", more: string[] = []) =>
    headgate(command("token", "login", name, "--password-stdin", ...more), { input });

  test("is created, logs in, is changed and deleted, all by the command line", async () => {
    const created = await headgate(
      user("create", "alice", "--scopes", "read:orders", "--password-stdin"),
      { ...asAdmin(), input: `${PASSWORD}\n` },
    );
    expect(created).toMatchObject({ code: 0, err: "" });
    const first = await login(PASSWORD);
    expect(first.code).toBe(0);
    const alice = node.client(first.out.trim());
    expect((await alice.query("orders", "SELECT 1")).status).toBe(200);
    expect((await alice.query("shop-eu", "SELECT 1")).status).toBe(403);

    const listed = await headgate(user("list", "--json"), asAdmin());
    expect(JSON.parse(listed.out).users).toMatchObject([
      { name: "alice", scopes: ["read:orders"] },
    ]);
    const updated = await headgate(user("update", "alice", "--scopes", "read:*"), asAdmin());
    expect(updated.code).toBe(0);
    expect(reasonOf(await alice.query("orders", "SELECT 1"))).toEqual([401, "token_revoked"]);
    const second = await login(PASSWORD, "alice", ["--expires", "1h", "--json"]);
    const { token, scopes } = JSON.parse(second.out);
    expect(scopes).toEqual(["read:*"]);
    expect((await node.client(token).query("shop-eu", "SELECT 1")).status).toBe(200);

    await headgate(user("update", "alice", "--password-stdin"), {
      ...asAdmin(),
      input: "another horse battery",
    });
    expect((await login(PASSWORD)).code).toBe(1);
    await Bun.sleep(1_100); // a wrong password makes its name wait
    const third = await login("another horse battery");
    expect(third.code).toBe(0);

    expect((await headgate(user("delete", "alice"), asAdmin())).code).toBe(0);
    expect(reasonOf(await node.client(third.out.trim()).get("/v1/cluster")))
      .toEqual([401, "token_revoked"]);
    expect((await login("another horse battery")).code).toBe(1);
    alice.close();
  }, 120_000);

  test("with a wrong password is told no more than a user who does not exist", async () => {
    const body = { name: "carol", password: PASSWORD, scopes: [] };
    must(await admin.request("POST", "/v1/users", body));
    const nobody = node.client();
    const guess = (name: string) =>
      nobody.request("POST", "/v1/tokens", { name, password: "wrong horse battery" });
    const [wrong, unknown] = [await guess("carol"), await guess("dave")];
    expect(reasonOf(wrong)).toEqual([401, "password_wrong"]);
    expect(unknown.body).toEqual(wrong.body);
    expect((await guess("carol")).status).toBe(429);
    expect((await guess("dave")).status).toBe(429);
    nobody.close();
  });

  test("cannot be guessed at by many at once: what does not fit is busy", async () => {
    const nobody = node.client();
    const guesses = Array.from(
      { length: 200 },
      (_, index) =>
        nobody.request("POST", "/v1/tokens", { name: `user-${index}`, password: PASSWORD }),
    );
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    expect((await admin.query("orders", "SELECT 1")).status).toBe(200);
    nobody.close();
  }, 60_000);
});

describe("token create --store", () => {
  test("asks no node, and says what to do on an empty store", async () => {
    const empty = nodes.fileStore();
    const { code, out, err } = await headgate(["token", "create", "--store", empty]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(`There is no cluster in ${empty} yet`);
    expect(err).toContain("headgate serve --store");
  });

  test("serves a Prometheus with a token of no scopes, from a file", async () => {
    const options = ["--subject", "prometheus", "--scopes", "", "--expires", "90d"];
    const made = await headgate(["token", "create", "--store", store, ...options]);
    const file = join(nodes.path, "prometheus.token");
    writeFileSync(file, made.out);
    const client = node.client(readFileSync(file, "utf8").trim());
    expect((await client.get("/metrics")).status).toBe(200);
    expect((await client.query("orders", "SELECT 1")).status).toBe(403);
    client.close();
    const listed = await headgate(command("db", "list", "--token-file", file, "--json"));
    expect(JSON.parse(listed.out)).toEqual({ databases: [] });
  });

  test.skipIf(!hasS3(server))("reads the secret of a cluster in S3", async () => {
    if (!hasS3(server)) return;
    const settings: S3Settings = server.settings();
    const bucket = await nodes.node({ store: settings, set: AUTH }).start();
    const environment = {
      AWS_ACCESS_KEY_ID: settings.access_key ?? "",
      AWS_SECRET_ACCESS_KEY: settings.secret_key ?? "",
    };
    const made = await headgate(["token", "create", "--store", storeUrl(settings)], {
      environment,
    });
    expect(made.code).toBe(0);
    expect((await bucket.client(made.out.trim()).get("/v1/users")).status).toBe(200);
    expect((await bucket.client(adminToken).get("/v1/users")).status).toBe(401);
    await bucket.kill();
  }, 120_000);
});

test(
  "no error and no log holds a token, the secret or a password, wherever it was put",
  async () => {
    const body = { name: "erin", password: PASSWORD, scopes: ["read:orders"] };
    must(await admin.request("POST", "/v1/users", body));
    const { token } = must(
      await node.client().request("POST", "/v1/tokens", { name: "erin", password: PASSWORD }),
    );
    const errors: string[] = [];
    const send = async (path: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${adminToken}`, ...init.headers };
      const answer = await fetch(node.url + path, { ...init, headers });
      const text = await answer.text();
      expect([path.slice(0, 30), answer.ok]).toEqual([path.slice(0, 30), false]);
      errors.push(text, JSON.stringify([...answer.headers]));
    };
    const post = (path: string, json: unknown, headers: Record<string, string> = {}) =>
      send(path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(json),
      });
    const query = "/v1/databases/orders/query";
    for (const hidden of [token, adminToken, secret]) {
      await send(`/${hidden}`);
      await send(`/v1/databases/${hidden}`);
      await send(`/v1/databases?token=${hidden}`);
      await send(`/v1/databases/orders/export?time=${hidden}`);
      await send(`/v1/users/${hidden}`);
      await send(`/v1/tokens/${hidden}`, { method: "DELETE" });
      await send("/metrics", { headers: { authorization: hidden } });
      await send("/metrics", { headers: { authorization: `Bearer ${hidden}x` } });
      await post(query, { sql: `SELECT ${hidden}` });
      await post(query, { sql: `SELECT "x" FROM "${hidden}"` });
      await post(query, { sql: `${hidden}` });
      await post(query, { sql: "SELECT 1", level: hidden });
      await post(query, { sql: "SELECT :a", params: { [hidden]: 1 } });
      await post("/v1/databases/orders/execute", {
        statements: [{ sql: `DELETE FROM "${hidden}"` }],
      });
      await post("/v1/databases", { name: hidden });
      await post("/v1/tokens", { subject: hidden, scopes: [hidden] });
      await post("/v1/users", { name: "x", password: 1, scopes: [hidden], [hidden]: 1 });
    }
    await send(`/v1/cluster?password=${encodeURIComponent(PASSWORD)}`);
    await send("/v1/cluster", { headers: { authorization: `Basic ${btoa(`erin:${PASSWORD}`)}` } });
    await send("/v1/cluster", { headers: { authorization: `Bearer ${PASSWORD}` } });
    await post("/v1/tokens", { name: PASSWORD, password: PASSWORD });
    await post("/v1/tokens", { name: "erin", password: [PASSWORD] });
    await post("/v1/tokens", { name: "erin", password: `${PASSWORD}!` });
    await post("/v1/tokens", { subject: "erin", scopes: [PASSWORD], [PASSWORD]: 1 });
    await post("/v1/users", { name: "erin", password: PASSWORD, scopes: [] });
    await post("/v1/users", { name: "frank", password: PASSWORD, scopes: PASSWORD });
    await node.kill("SIGTERM");

    const seen = errors.join("\n") + node.log;
    expect(errors.length).toBeGreaterThan(100);
    expect(node.log).toContain(" debug ");
    // The tokenizer of SQL cuts a signature at each "-"; what is left of it is worth nothing.
    const pieces = [token, adminToken].flatMap((text) => {
      const [, claims = "", signature = ""] = text.split(".");
      return [claims.slice(0, 20), signature];
    });
    for (const piece of [...pieces, secret.slice(0, 20), "correct", "horse", btoa(`erin:corr`)]) {
      expect([piece, seen.includes(piece)]).toEqual([piece, false]);
    }
    admin.close();
  },
  60_000,
);
