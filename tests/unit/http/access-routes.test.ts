/** Users and tokens over HTTP: their bodies, their answers, and what they never say. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { createLog } from "../../../src/base/log.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { openToken } from "../../../src/http/token.ts";
import { MemoryNode } from "../../support/memory-node.ts";

const PASSWORD = "correct horse battery";

let node: MemoryNode;
let app: HttpApp;
let log: string;
let admin: string;
beforeEach(() => {
  node = new MemoryNode();
  node.access.required = true;
  admin = node.access.token(["admin"], { subject: "root" });
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
});
afterEach(() => node.remove());

async function send(
  method: string,
  path: string,
  body?: unknown,
  token: string | null = admin,
  // deno-lint-ignore no-explicit-any -- tests look into answers freely
): Promise<{ status: number; headers: Headers; body: any; text: string }> {
  const answer = await app.fetch(
    new Request(`http://localhost:8080${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: JSON.parse(text), text };
}

describe("users", () => {
  test("are created, listed, changed and deleted, and their passwords are never shown", async () => {
    const created = await send("POST", "/v1/users", {
      name: "alice",
      password: PASSWORD,
      scopes: ["read:orders", "read:orders"],
    });
    expect([created.status, created.headers.get("location")]).toEqual([201, "/v1/users/alice"]);
    expect(created.body).toMatchObject({ name: "alice", scopes: ["read:orders"], epoch: 6 });
    const again = { name: "alice", password: PASSWORD, scopes: [] };
    expect((await send("POST", "/v1/users", again)).status).toBe(409);
    const changed = await send("PATCH", "/v1/users/alice", { scopes: [] });
    expect(changed.body).toMatchObject({ name: "alice", scopes: [], epoch: 7 });
    const list = await send("GET", "/v1/users");
    expect(list.body.users).toEqual([
      { name: "alice", scopes: [], created_at: "2026-01-01T00:00:00.000Z" },
    ]);
    expect((await send("GET", "/v1/users/alice")).body.name).toBe("alice");
    expect((await send("DELETE", "/v1/users/alice")).body).toEqual({ epoch: 8 });
    expect((await send("GET", "/v1/users/alice")).status).toBe(404);
    expect((await send("DELETE", "/v1/users/alice")).status).toBe(404);
    for (const text of [created.text, changed.text, list.text, log]) {
      expect(text).not.toContain(PASSWORD);
    }
    expect(log).toContain("created a user user=alice scopes=read:orders by=root");
    expect(log).toContain("changed a user user=alice changed=scopes by=root");
    expect(log).toContain("deleted a user user=alice by=root");
  });

  test("have names that may be addresses, and are found by them", async () => {
    const name = "alice.b_c-d@example.com";
    await send("POST", "/v1/users", { name, password: PASSWORD, scopes: [] });
    expect((await send("GET", `/v1/users/${encodeURIComponent(name)}`)).body.name).toBe(name);
  });

  const good = { name: "alice", password: PASSWORD, scopes: ["read:*"] };
  const wrong: readonly (readonly [string, string, unknown, string])[] = [
    ["POST", "/v1/users", [good], "an object with name, password, scopes"],
    ["POST", "/v1/users", { ...good, [PASSWORD]: 1 }, "a key that is unknown"],
    ["POST", "/v1/users", { ...good, name: undefined }, "name is missing or wrong"],
    ["POST", "/v1/users", { ...good, name: PASSWORD }, "name is missing or wrong"],
    ["POST", "/v1/users", { ...good, name: "Alice" }, "name is missing or wrong"],
    ["POST", "/v1/users", { ...good, name: "anonymous" }, "reserved"],
    ["POST", "/v1/users", { ...good, name: "a".repeat(64) }, "at most 63"],
    ["POST", "/v1/users", { ...good, password: undefined }, "password is missing or wrong"],
    ["POST", "/v1/users", { ...good, password: 123456789012 }, "password is missing or wrong"],
    ["POST", "/v1/users", { ...good, password: "elevenchars" }, "at least 12"],
    ["POST", "/v1/users", { ...good, password: "🔑".repeat(11) }, "at least 12"],
    ["POST", "/v1/users", { ...good, password: "x".repeat(1_025) }, "1 to 1024 bytes"],
    ["POST", "/v1/users", { ...good, password: `${PASSWORD}\ud800` }, "password is missing or"],
    ["POST", "/v1/users", { ...good, scopes: undefined }, "scopes is not a list"],
    ["POST", "/v1/users", { ...good, scopes: PASSWORD }, "scopes is not a list"],
    ["POST", "/v1/users", { ...good, scopes: [PASSWORD] }, "scopes[0] is not a scope"],
    ["PATCH", "/v1/users/alice", {}, "nothing to change"],
    ["PATCH", "/v1/users/alice", { name: "bob" }, "a key that is unknown"],
    ["PATCH", "/v1/users/alice", { password: "short" }, "at least 12"],
    ["PATCH", "/v1/users/Alice", { scopes: [] }, "The name in the path"],
  ];
  for (const [method, path, body, message] of wrong) {
    test(`${method} ${path} with ${JSON.stringify(body)?.slice(0, 60)} is invalid`, async () => {
      const answer = await send(method, path, body);
      expect([answer.status, answer.body.error.kind]).toEqual([400, "invalid"]);
      expect(answer.body.error.message).toContain(message);
      for (const hidden of ["correct", "horse", "123456789012", "elevenchars", "short"]) {
        expect(answer.body.error.message.replace("too short", "")).not.toContain(hidden);
      }
      expect(node.access.kept.size).toBe(0);
    });
  }

  test("cannot come in a body that is larger than such bodies are", async () => {
    const body = { name: "alice", password: PASSWORD, scopes: ["x".repeat(17_000)] };
    expect((await send("POST", "/v1/users", body)).status).toBe(413);
  });
});

describe("tokens", () => {
  test("are made by an admin for anybody", async () => {
    const made = await send("POST", "/v1/tokens", {
      subject: "ci",
      kind: "node",
      scopes: ["write:orders"],
      expires_in_s: 3600,
    });
    expect([made.status, made.headers.get("cache-control")]).toEqual([201, "no-store"]);
    const { nowMs, secret } = node.access;
    expect(openToken(secret, made.body.token)).toEqual({
      sub: "ci",
      kind: "node",
      jti: made.body.jti,
      iat: nowMs / 1000,
      exp: nowMs / 1000 + 3600,
      scopes: ["write:orders"],
    });
    expect(made.body).toMatchObject({
      subject: "ci",
      kind: "node",
      scopes: ["write:orders"],
      expires_at: new Date(nowMs + 3_600_000).toISOString(),
    });
    expect(log).toContain(`made a token subject=ci kind=node jti=${made.body.jti}`);
    expect(log).not.toContain(made.body.token.slice(0, 20));
  });

  test("are good for 30 days when nothing is said", async () => {
    const { body } = await send("POST", "/v1/tokens", { subject: "ci", scopes: [] });
    expect(Date.parse(body.expires_at) - node.access.nowMs).toBe(30 * 86_400_000);
  });

  test("are given for a name and a password without one", async () => {
    await node.access.createUser("alice", PASSWORD, ["read:orders"]);
    const body = { name: "alice", password: PASSWORD };
    const made = await send("POST", "/v1/tokens", body, null);
    expect([made.status, made.headers.get("cache-control")]).toEqual([201, "no-store"]);
    expect(made.body).toMatchObject({ subject: "alice", scopes: ["read:orders"] });
    expect(Date.parse(made.body.expires_at) - node.access.nowMs).toBe(12 * 3_600_000);
    const wrong = await send("POST", "/v1/tokens", { ...body, password: "wrong horse" }, null);
    expect(wrong.status).toBe(401);
    expect(wrong.headers.get("www-authenticate")).toBe('Bearer realm="headgate"');
    expect(wrong.body.error.details).toEqual({ reason: "password_wrong" });
    expect(log + wrong.text).not.toContain("horse");
  });

  test("are not made by those who may not", async () => {
    const body = { subject: "ci", scopes: ["admin"] };
    expect((await send("POST", "/v1/tokens", body, null)).status).toBe(401);
    const writer = node.access.token(["write:*", "read:*"]);
    expect((await send("POST", "/v1/tokens", body, writer)).status).toBe(403);
  });

  test("are revoked by their id, and listed", async () => {
    const { jti, token } = (await send("POST", "/v1/tokens", { subject: "ci", scopes: [] })).body;
    expect((await send("GET", "/v1/cluster", undefined, token)).status).toBe(200);
    const revoked = await send("DELETE", `/v1/tokens/${jti}`);
    expect(revoked.body).toMatchObject({ jti, epoch: 6 });
    expect((await send("GET", "/v1/cluster", undefined, token)).status).toBe(401);
    expect((await send("GET", "/v1/tokens")).body.revoked.tokens).toMatchObject([{ jti }]);
    expect(log).toContain(`revoked a token jti=${jti} by=root`);
  });

  test("that revoke themselves are still answered", async () => {
    const { jti } = JSON.parse(Buffer.from(admin.split(".")[1] ?? "", "base64url").toString());
    expect((await send("DELETE", `/v1/tokens/${jti}`)).status).toBe(200);
    expect((await send("GET", "/v1/users")).status).toBe(401);
  });

  const wrong: readonly (readonly [unknown, string])[] = [
    [{}, "subject is missing or wrong"],
    [{ subject: "ci" }, "scopes is not a list"],
    [{ subject: "ci", scopes: ["root"] }, "scopes[0] is not a scope"],
    [{ subject: "c i", scopes: [] }, "subject is missing or wrong"],
    [{ subject: "headgate", scopes: [] }, "reserved"],
    [{ subject: "ci", scopes: [], kind: "root" }, '"user" or "node"'],
    [{ subject: "ci", scopes: [], expires_in_s: 0 }, "1 to 31622400"],
    [{ subject: "ci", scopes: [], expires_in_s: 1.5 }, "a whole number"],
    [{ subject: "ci", scopes: [], expires_in_s: 31_622_401 }, "1 to 31622400"],
    [{ subject: "ci", scopes: [], expires: "30d" }, "a key that is unknown"],
    [{ name: "alice", password: PASSWORD, scopes: ["admin"] }, "a key that is unknown"],
    [{ name: "alice", password: "" }, "password is missing or wrong"],
    [{ name: "alice", password: PASSWORD, expires_in_s: 86_401 }, "1 to 86400"],
    [[], "an object"],
    [null, "an object"],
  ];
  for (const [body, message] of wrong) {
    test(`are not made of ${JSON.stringify(body)}`, async () => {
      const answer = await send("POST", "/v1/tokens", body);
      expect([answer.status, answer.body.error.kind]).toEqual([400, "invalid"]);
      expect(answer.body.error.message).toContain(message);
      expect(answer.text).not.toContain("horse");
    });
  }

  test("have ids of one shape", async () => {
    for (const jti of ["short", "0".repeat(41), "0123456789abcdef0123456789abcde%0a"]) {
      expect((await send("DELETE", `/v1/tokens/${jti}`)).status).toBe(400);
    }
    expect(node.access.revoked.size).toBe(0);
  });
});

test("the methods that there are not are refused with those that there are", async () => {
  for (
    const [method, path, allow] of [
      ["PUT", "/v1/users", "GET, HEAD, POST"],
      ["POST", "/v1/users/alice", "GET, HEAD, PATCH, DELETE"],
      ["DELETE", "/v1/tokens", "GET, HEAD, POST"],
      ["GET", "/v1/tokens/0123456789abcdef", "DELETE"],
    ] as const
  ) {
    const answer = await send(method, path);
    expect([path, answer.status, answer.headers.get("allow")]).toEqual([path, 405, allow]);
  }
});
