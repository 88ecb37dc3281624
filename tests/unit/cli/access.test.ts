/** `token`, `user`, and how every command says who it is. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { runCommand } from "../../../src/cli/main.ts";
import { createApp } from "../../../src/http/app.ts";
import { openToken } from "../../../src/http/token.ts";
import { findCluster } from "../../../src/server/cluster-files.ts";
import { listen } from "../../../src/server/listen.ts";
import { openStore } from "../../../src/store/open.ts";
import { MemoryNode } from "../../support/memory-node.ts";

const PASSWORD = "correct horse battery";

let node = new MemoryNode();
const serve = (fetch: (request: Request) => Promise<Response>) =>
  listen({ host: "127.0.0.1", port: 0, bodyBytesMax: 1_000_000, clock: systemClock, fetch });
const listener = serve((request) =>
  createApp(node, { clock: systemClock, log: silentLog }).fetch(request)
);
/** A broker: it sends everybody on to the leader. */
const broker = serve((request) => {
  const location = request.url.replace(/^http:\/\/[^/]+/, listener.url);
  return Promise.resolve(Response.json({}, { status: 307, headers: { location } }));
});
const directory = mkdtempSync(join(tmpdir(), "headgate-cli-access-"));
afterAll(async () => {
  await listener.stop(0);
  await broker.stop(0);
  rmSync(directory, { recursive: true });
});

let admin: string;
beforeEach(() => {
  node.remove();
  node = new MemoryNode();
  node.access.required = true;
  node.access.nowMs = Date.now();
  admin = node.access.token(["admin"]);
});

async function run(
  args: readonly string[],
  { input = "", environment = {} as Record<string, string>, terminal = false } = {},
): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await runCommand(args, {
    environment: { HEADGATE_URL: listener.url, ...environment },
    clock: systemClock,
    random: seededRandom(1),
    write: (text) => void (out += text),
    writeBytes: (bytes) => void (out += Buffer.from(bytes)),
    writeError: (text) => void (err += text),
    readInput: () => input,
    input: () => new Blob([input]).stream(),
    inputIsTerminal: terminal,
    outputIsTerminal: false,
    errorIsTerminal: false,
    columns: () => 80,
    command: ["headgate"],
  });
  return { code, out, err };
}

const asAdmin = () => ({ environment: { HEADGATE_TOKEN: admin } });

describe("a command says who it is", () => {
  test("by an option, a file or the environment, in that order", async () => {
    const file = join(directory, "token");
    writeFileSync(file, `${admin}\n`);
    const good: (readonly [readonly string[], Record<string, string>])[] = [
      [["--token", admin], { HEADGATE_TOKEN: "wrong" }],
      [["--token-file", file], { HEADGATE_TOKEN: "wrong" }],
      [[], { HEADGATE_TOKEN: admin, HEADGATE_TOKEN_FILE: "/nowhere" }],
      [[], { HEADGATE_TOKEN: "", HEADGATE_TOKEN_FILE: file }],
    ];
    for (const [options, environment] of good) {
      expect(await run(["db", "list", ...options], { environment })).toMatchObject({ code: 0 });
    }
    expect(await run(["db", "list"])).toMatchObject({ code: 1, out: "" });
    expect((await run(["db", "list"])).err).toContain("headgate token create makes one");
  });

  test("and is told what is wrong with it, without being shown it", async () => {
    const file = join(directory, "two-lines");
    writeFileSync(file, `${admin}\n${admin}\n`);
    const wrong: (readonly [readonly string[], number, string])[] = [
      [["--token", admin, "--token-file", file], 2, "not both"],
      [["--token-file", file], 2, "holds no token"],
      [["--token", "two words"], 2, "--token holds no token"],
      [["--token-file", join(directory, "missing")], 1, "ENOENT"],
      [["--token", `${admin}x`], 1, "denied: The token is refused"],
      [[admin], 2, "Something is too much"],
    ];
    for (const [options, code, message] of wrong) {
      const result = await run(["db", "list", ...options]);
      expect([message, result.code, result.err.includes(message)]).toEqual([message, code, true]);
      expect(result.err).not.toContain(admin.slice(0, 20));
    }
  });

  test("also to the node that it is sent on to", async () => {
    const environment = { HEADGATE_URL: broker.url, HEADGATE_TOKEN: admin };
    expect((await run(["db", "create", "orders"], { environment })).code).toBe(0);
    expect((await run(["db", "list", "--json"], { environment })).out).toContain("orders");
  });
});

describe("token create by the store", () => {
  async function cluster(name: string): Promise<{ url: string; secret: string }> {
    const url = `file://${join(directory, name)}`;
    const random = seededRandom(4);
    const store = await openStore(url, { clock: systemClock, random, log: silentLog });
    const { secret } = await findCluster({ store, clock: systemClock, random });
    return { url, secret };
  }

  test("prints a token that the cluster signed, for an admin and 30 days", async () => {
    const { url, secret } = await cluster("one");
    const { code, out, err } = await run(["token", "create", "--store", url]);
    expect(code).toBe(0);
    const claims = openToken(secret, out.trim());
    expect(claims).toMatchObject({ sub: "admin", kind: "user", scopes: ["admin"] });
    expect(claims.exp - claims.iat).toBe(30 * 86_400);
    expect(Math.abs(claims.iat * 1000 - Date.now())).toBeLessThan(60_000);
    expect(err).toContain(`headgate token revoke ${claims.jti}`);
    expect(err).not.toContain(out.trim());
  });

  test("has the subject, kind, scopes and life that are asked for", async () => {
    const { url, secret } = await cluster("two");
    const { out, err } = await run([
      ...["token", "create", "--subject", "ci", "--kind", "node", "--store", url, "--json"],
      ...["--scopes", "read:shop-*, write:orders", "--expires", "12h"],
    ]);
    const answer = JSON.parse(out);
    expect(answer).toMatchObject({ subject: "ci", kind: "node" });
    const claims = openToken(secret, answer.token);
    expect(claims).toMatchObject({ jti: answer.jti, scopes: ["read:shop-*", "write:orders"] });
    expect(claims.exp - claims.iat).toBe(12 * 3_600);
    expect(err).toBe("");
    const none = await run(["token", "create", "--store", url, "--scopes", ""]);
    expect(openToken(secret, none.out.trim()).scopes).toEqual([]);
  });

  test("says what to do where there is no cluster, and makes nothing there", async () => {
    const path = join(directory, "nothing");
    const { code, out, err } = await run(["token", "create", "--store", `file://${path}`]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain(`missing: There is no cluster in file://${path} yet`);
    expect(err).toContain(`headgate serve --store 'file://${path}'`);
    expect(existsSync(path)).toBe(false);
  });

  test("takes nothing that is wrong", async () => {
    const { url } = await cluster("three");
    const wrong = [
      ["--subject", "Alice Smith"],
      ["--subject", "anonymous"],
      ["--kind", "root"],
      ["--scopes", "root"],
      ["--scopes", "read:system"],
      ["--expires", "soon"],
      ["--expires", "0s"],
      ["--expires", "367d"],
      ["--expires", "500ms"],
      ["--url", "http://127.0.0.1:1"],
    ];
    for (const options of wrong) {
      const { code, out, err } = await run(["token", "create", "--store", url, ...options]);
      expect([options, code, out]).toEqual([options, 2, ""]);
      expect(err).toContain("See: headgate token create --help");
    }
  });
});

describe("tokens over the API", () => {
  test("are made, revoked by id or by themselves, and listed", async () => {
    const made = await run(["token", "create", "--subject", "ci", "--json"], asAdmin());
    const { token, jti } = JSON.parse(made.out);
    expect(openToken(node.access.secret, token)).toMatchObject({ sub: "ci", scopes: ["admin"] });
    expect((await run(["token", "revoke", jti], asAdmin())).out).toBe(
      `revoked ${jti} in epoch 6\n`,
    );
    expect((await run(["db", "list", "--token", token])).err).toContain("has been revoked");

    const other = (await run(["token", "create", "--subject", "ci"], asAdmin())).out;
    const revoked = await run(["token", "revoke", "-"], { ...asAdmin(), input: other });
    expect(revoked.code).toBe(0);
    expect((await run(["db", "list", "--token", other.trim()])).err).toContain("been revoked");
    const list = await run(["token", "revoked", "--json"], asAdmin());
    expect(JSON.parse(list.out).revoked.tokens).toHaveLength(2);
    expect((await run(["token", "revoked"], asAdmin())).out).toContain(jti);
    expect((await run(["token", "revoke", "a.b.c"], asAdmin())).code).toBe(2);
  });

  test("need an admin", async () => {
    const environment = { HEADGATE_TOKEN: node.access.token(["write:*"]) };
    const { code, err } = await run(["token", "create"], { environment });
    expect([code, err]).toEqual([
      1,
      "denied: Cannot POST /v1/tokens: the token of alice lacks the scope admin\n",
    ]);
  });
});

describe("users", () => {
  const withPassword = (input = `${PASSWORD}\n`) => ({ ...asAdmin(), input });

  test("are created, listed, changed and deleted", async () => {
    const create = ["user", "create", "alice", "--scopes", "read:*", "--password-stdin"];
    expect(await run(create, withPassword())).toEqual({
      code: 0,
      out: "created the user alice in epoch 6\n",
      err: "",
    });
    expect(node.access.kept.get("alice")).toMatchObject({ password: PASSWORD, scopes: ["read:*"] });
    expect((await run(["user", "list"], asAdmin())).out).toContain("alice │ read:*");
    await run(["user", "update", "alice", "--scopes", "read:a,write:a"], asAdmin());
    expect(node.access.kept.get("alice")?.scopes).toEqual(["read:a", "write:a"]);
    const update = ["user", "update", "alice", "--password-stdin", "--json"];
    expect((await run(update, withPassword("another horse battery"))).code).toBe(0);
    expect(node.access.kept.get("alice")?.password).toBe("another horse battery");
    expect((await run(["user", "delete", "alice"], asAdmin())).code).toBe(0);
    expect(node.access.kept.size).toBe(0);
  });

  test("log in for a token", async () => {
    await node.access.createUser("alice", PASSWORD, ["read:*"]);
    const { code, out } = await run(
      ["token", "login", "alice", "--password-stdin", "--expires", "2h"],
      { input: PASSWORD },
    );
    expect(code).toBe(0);
    const claims = openToken(node.access.secret, out.trim());
    expect([claims.sub, claims.exp - claims.iat]).toEqual(["alice", 7_200]);
    const wrong = await run(["token", "login", "alice", "--password-stdin"], { input: "wrong" });
    expect([wrong.code, wrong.err]).toEqual([1, "denied: Cannot log in\n"]);
  });

  test("have passwords that no command line takes", async () => {
    for (const options of [["--password", PASSWORD], [`--password=${PASSWORD}`], [PASSWORD]]) {
      const { code, err } = await run(["user", "update", "alice", ...options], asAdmin());
      expect([code, err.includes("horse")]).toEqual([2, false]);
    }
    expect((await run(["user", "create", "alice", "--scopes", "admin"], asAdmin())).err)
      .toContain("--password-stdin");
    expect((await run(["user", "update", "alice", "--password-stdin"], asAdmin())).err)
      .toContain("no password in the input");
    expect((await run(["user", "create", "alice", "--password-stdin"], withPassword())).err)
      .toContain("--scopes LIST");
    expect((await run(["user", "update", "alice"], asAdmin())).code).toBe(2);
  });
});
