/** Who may ask for what, over all routes, without a socket. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { createLog } from "../../../src/base/log.ts";
import type { WriteRequest } from "../../../src/database/statement.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { needOf } from "../../../src/http/need.ts";
import { MemoryNode } from "../../support/memory-node.ts";

let node: MemoryNode;
let app: HttpApp;
let log: string;

beforeEach(async () => {
  node = new MemoryNode();
  log = "";
  app = createApp(node, {
    clock: systemClock,
    log: createLog({
      level: "debug",
      format: "text",
      nowMs: () => 0,
      write: (line) => void (log += `${line}\n`),
    }),
  });
  for (const name of ["orders", "shop-eu"]) await send("POST", "/v1/databases", null, { name });
  node.seen.length = 0;
  node.access.required = true;
});
afterEach(() => node.remove());

function send(
  method: string,
  path: string,
  token: string | null,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return app.fetch(
    new Request(`http://localhost:8080${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
}

interface ErrorBody {
  readonly kind: string;
  readonly message: string;
  readonly details?: { readonly reason?: string; readonly scope?: string };
}

async function errorOf(response: Response): Promise<ErrorBody> {
  return ((await response.json()) as { error: ErrorBody }).error;
}

const SELECT = { sql: "SELECT 1" };
const DELETE = { statements: [{ sql: "DELETE FROM t" }] };

/** Method, path, body, the scope that is needed; "" where any valid token will do. */
const ROUTES: readonly (readonly [string, string, unknown, string])[] = [
  ["GET", "/metrics", undefined, ""],
  ["GET", "/v1/cluster", undefined, ""],
  ["GET", "/v1/databases", undefined, ""],
  ["POST", "/v1/databases", { name: "new" }, "admin"],
  // The catalog of the lake "web" is no database for who may read a lake called "lake-web".
  ["POST", "/v1/databases/lake-web/query", SELECT, "admin"],
  ["GET", "/v1/databases/lake-web/export", undefined, "admin"],
  ["GET", "/v1/databases/orders", undefined, "read:orders"],
  ["HEAD", "/v1/databases/orders", undefined, "read:orders"],
  ["DELETE", "/v1/databases/orders", undefined, "admin"],
  ["POST", "/v1/databases/orders/query", SELECT, "read:orders"],
  ["POST", "/v1/databases/orders/quer%79", SELECT, "read:orders"],
  ["POST", "/v1/databases/%6frders/query", SELECT, "read:orders"],
  ["POST", "/v1/databases/orders/execute", DELETE, "write:orders"],
  ["POST", "/v1/databases/orders/execute?x=1", DELETE, "write:orders"],
  ["GET", "/v1/databases/orders/export", undefined, "read:orders"],
  ["POST", "/v1/databases/orders/rollback", { epoch: 1 }, "admin"],
  ["POST", "/v1/databases/system/query", SELECT, "admin"],
  ["GET", "/v1/databases/system", undefined, "admin"],
  ["GET", "/v1/databases/system/export", undefined, "admin"],
  ["GET", "/v1/users", undefined, "admin"],
  ["POST", "/v1/users", { name: "bob", password: "correct horse", scopes: [] }, "admin"],
  ["GET", "/v1/users/bob", undefined, "admin"],
  ["PATCH", "/v1/users/bob", { scopes: [] }, "admin"],
  ["DELETE", "/v1/users/bob", undefined, "admin"],
  ["GET", "/v1/tokens", undefined, "admin"],
  ["POST", "/v1/tokens", { subject: "ci", scopes: ["read:*"] }, "admin"],
  ["DELETE", "/v1/tokens/0123456789abcdef", undefined, "admin"],
];

/** All scopes but one; none of them is needed by a route above. */
const OTHERS = ["read:order", "read:shop-*", "write:order", "write:shop-*", "ingest:*"];

describe("every route but health", () => {
  for (const [method, path, body, scope] of ROUTES) {
    test(`refuses ${method} ${path} without a token, or with one for ${scope || "nothing"} less`, async () => {
      const nobody = await send(method, path, null, body);
      expect(nobody.status).toBe(401);
      expect(nobody.headers.get("www-authenticate")).toBe('Bearer realm="headgate"');
      if (method !== "HEAD") {
        expect(await errorOf(nobody)).toMatchObject({
          kind: "denied",
          details: { reason: "token_missing" },
        });
      }
      const forged = await send(method, path, `${node.access.token(["admin"])}x`, body);
      expect(forged.status).toBe(401);
      expect(forged.headers.get("www-authenticate"))
        .toBe('Bearer realm="headgate", error="invalid_token"');
      expect(node.seen).toEqual([]);

      const lesser = await send(method, path, node.access.token(OTHERS), body);
      if (scope === "") expect(lesser.ok).toBe(true);
      else {
        expect(lesser.status).toBe(403);
        expect(lesser.headers.has("www-authenticate")).toBe(false);
        if (method !== "HEAD") {
          const error = await errorOf(lesser);
          expect(error.details).toEqual({ reason: "scope_missing", scope });
          expect(error.message).toEndWith(`the token of alice lacks the scope ${scope}`);
        }
        expect(node.seen).toEqual([]);
      }
    });

    test(`lets ${method} ${path} through with ${scope || "no"} scope`, async () => {
      await node.access.createUser("bob", "correct horse", []);
      if (method === "POST" && path === "/v1/users") node.access.kept.clear();
      const token = node.access.token(scope === "" ? [] : [scope]);
      // There is no `system` behind these routes.
      const allowed = path === "/v1/databases/system" ? [404] : [200, 201];
      expect(allowed).toContain((await send(method, path, token, body)).status);
      if (scope !== "" && scope !== "admin") {
        const [action = "", name = ""] = scope.split(":");
        const pattern = node.access.token([`${action}:${name.slice(0, 3)}*`]);
        expect((await send(method, path, pattern, body)).status).toBe(200);
      }
      const admin = node.access.token(["admin"]);
      if (method !== "DELETE" && path !== "/v1/users" && path !== "/v1/databases") {
        expect(allowed).toContain((await send(method, path, admin, body)).status);
      }
    });
  }

  test("which is open, with whatever token", async () => {
    for (const path of ["/health/live", "/health/ready"]) {
      expect((await send("GET", path, null)).status).toBe(200);
      expect((await send("HEAD", path, "nonsense")).status).toBe(200);
    }
  });

  test("and what there is not: it is missing for those who have a token", async () => {
    for (const path of ["/", "/v1/databses", "/health", "/v1/users/bob/tokens"]) {
      expect((await send("GET", path, null)).status).toBe(401);
      expect((await send("GET", path, node.access.token([]))).status).toBe(404);
    }
  });

  test("that nobody has listed needs admin", () => {
    for (
      const [method, path] of [
        ["GET", "/v1/anything"],
        ["POST", "/v1/cluster"],
        ["PATCH", "/v1/cluster/brokers/n1"],
        ["OPTIONS", "/v1/databases/orders"],
        ["PUT", "/v1/databases/orders"],
        ["GET", "/v1/databases/orders/anything"],
        ["POST", "/v1/databases/orders/export"],
        ["GET", "/v1/databases/Orders"],
        ["GET", "/v1/databases/%6frders"],
        ["GET", "//metrics"],
      ] as const
    ) {
      expect([path, needOf(method, path)]).toEqual([path, { kind: "admin" }]);
    }
  });

  test("with a name that is escaped twice is not the route of the plain name", async () => {
    const token = node.access.token(["read:shop-eu"]);
    for (const path of ["%256frders", "%25%36frders", "shop-eu%2f..%2forders", "orders%00"]) {
      const answer = await send("GET", `/v1/databases/${path}`, token);
      expect(answer.ok).toBe(false);
      const query = await send("POST", `/v1/databases/${path}/query`, token, SELECT);
      expect(query.ok).toBe(false);
    }
    expect(node.seen).toEqual([]);
  });

  test("lists the databases that the caller may read", async () => {
    const names = async (scopes: string[]) => {
      const answer = await send("GET", "/v1/databases", node.access.token(scopes));
      const { databases } = await answer.json() as { databases: { name: string }[] };
      return databases.map(({ name }) => name);
    };
    expect(await names(["admin"])).toEqual(["orders", "shop-eu"]);
    expect(await names(["read:*"])).toEqual(["orders", "shop-eu"]);
    expect(await names(["read:shop-*", "write:orders"])).toEqual(["shop-eu"]);
    expect(await names([])).toEqual([]);
  });
});

describe("the header Authorization", () => {
  const token = () => node.access.token([]);
  const authorization = (value: string) =>
    send("GET", "/v1/cluster", null, undefined, { authorization: value });

  test("takes its scheme in any case and with any number of spaces", async () => {
    for (const scheme of ["Bearer ", "bearer ", "BEARER ", "bEaReR    "]) {
      expect((await authorization(scheme + token())).status).toBe(200);
    }
  });

  test("of another scheme, of none, of two at once or without a token is refused", async () => {
    const wrong = [
      "",
      "Bearer",
      "Bearer ",
      token(),
      `Basic ${btoa("alice:correct horse")}`,
      `Token ${token()}`,
      `Bearer\t${token()}`,
      `Bearer ${token()}, Bearer ${token()}`,
      `Bearer ${token()} ${token()}`,
      `Bearer "${token()}"`,
      `Bearer=${token()}`,
      `Bearer ${"x".repeat(9_000)}`,
    ];
    for (const value of wrong) {
      const answer = await authorization(value);
      expect([value.slice(0, 10), answer.status]).toEqual([value.slice(0, 10), 401]);
      expect((await errorOf(answer)).details?.reason).toBe("token_invalid");
    }
  });

  test("says why a good token is good no longer", async () => {
    const kept = token();
    node.access.nowMs += 60_000;
    expect((await errorOf(await authorization(`Bearer ${kept}`))).details?.reason)
      .toBe("token_expired");
    const other = token();
    await node.access.revoke(node.access.verifier.verify(other) && jtiOf(other));
    expect((await errorOf(await authorization(`Bearer ${other}`))).details?.reason)
      .toBe("token_revoked");
  });

  test("is not read where no tokens are needed", async () => {
    node.access.required = false;
    expect((await authorization("Bearer nonsense")).status).toBe(200);
  });
});

test("the subject of a write is the name in the token", async () => {
  const token = node.access.token(["write:orders"], { subject: "bob" });
  await send("POST", "/v1/databases/orders/execute", token, DELETE);
  await send("POST", "/v1/databases/orders/execut%65", token, DELETE);
  node.access.required = false;
  await send("POST", "/v1/databases/orders/execute", token, DELETE);
  expect(node.seen.map(({ argument }) => (argument as WriteRequest).subject))
    .toEqual(["bob", "bob", "anonymous"]);
});

test("who asks is known before anything is waited for", () => {
  const token = node.access.token(["read:orders"]);
  const request = new Request("http://h/v1/databases/orders/query", {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(SELECT),
  });
  const before = node.access.verifier.cached;
  void app.fetch(request);
  // Nothing has had a turn yet.
  expect(node.access.verifier.cached).toBe(before + 1);
});

describe("a secret in a URL", () => {
  for (const name of ["token", "TOKEN", "access_token", "password", "authorization"]) {
    test(`as ?${name}= is refused without being repeated`, async () => {
      const token = node.access.token(["admin"]);
      const paths = [
        ["GET", `/v1/databases?${name}=${token}`],
        ["GET", `/health/live?a=b&${name}=hunter2hunter2`],
        ["POST", `/v1/databases/orders/query?${name}=${token}`],
        ["POST", `/v1/databases/orders?${name}=hunter2hunter2/query`],
        ["GET", `/nowhere?${name}=hunter2hunter2`],
      ] as const;
      for (const [method, path] of paths) {
        const answer = await send(method, path, token, method === "POST" ? SELECT : undefined);
        const text = await answer.text();
        expect([path, answer.status]).toEqual([path, 400]);
        expect(text).toContain("Authorization: Bearer TOKEN");
        expect(text).not.toContain("hunter2");
        expect(text).not.toContain(token.slice(0, 20));
      }
      expect(node.seen).toEqual([]);
    });
  }
});

test("no error repeats a token or the cluster's secret, wherever it was put", async () => {
  const token = node.access.token(["admin"]);
  const { secret } = node.access;
  for (const hidden of [token, secret]) {
    const answers = await Promise.all([
      send("GET", `/${hidden}`, token),
      send("GET", `/v1/databases/${hidden}`, token),
      send("POST", `/v1/databases/${hidden}/query`, token, SELECT),
      send("POST", "/v1/databases/orders/query", hidden.slice(1), SELECT),
      send("POST", "/v1/databases/orders/query", token, { [hidden]: 1 }),
      send("POST", "/v1/databases/orders/query", token, { sql: "SELECT 1", level: hidden }),
      send("POST", "/v1/databases/orders/query", token, { sql: hidden }),
      send("POST", "/v1/databases/orders/query", token, SELECT, { "content-type": hidden }),
      send("POST", "/v1/databases", token, { name: hidden }),
      send("GET", `/v1/databases/orders/export?${hidden}=1`, token),
      send("GET", `/v1/databases/orders/export?time=${hidden}`, token),
      send("DELETE", `/v1/tokens/${hidden.slice(0, 100)}`, token),
      send("GET", `/v1/users/${hidden.slice(0, 63).toLowerCase()}`, token),
      send("POST", "/v1/tokens", token, { subject: hidden, scopes: [hidden] }),
    ]);
    for (const [index, answer] of answers.entries()) {
      const text = await answer.text();
      expect([index, answer.ok, text]).toEqual([index, false, text]);
      expect([index, text.includes(hidden.slice(0, 16))]).toEqual([index, false]);
    }
  }
  expect(log).not.toContain(token.slice(0, 20));
  expect(log).not.toContain(secret.slice(0, 20));
});

function jtiOf(token: string): string {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).jti;
}
