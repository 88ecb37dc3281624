import { afterEach, beforeEach, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { createApp, type HttpApp } from "../../../src/http/app.ts";
import { isMounted, mounted } from "../../../src/http/mounted.ts";
import { MemoryNode } from "../../support/memory-node.ts";

let node: MemoryNode;
const options = { clock: systemClock, log: silentLog };

beforeEach(() => {
  node = new MemoryNode();
});
afterEach(() => node.remove());

function appOf(prefix: string, { open = false } = {}): HttpApp {
  return mounted(
    createApp(node, options),
    {
      prefix,
      open,
      fetch: ({ url }, caller) => {
        if (url.endsWith("/broken")) throw new Error("the program broke");
        return new Response(`program: ${caller?.subject ?? "nobody asked"}`);
      },
    },
    node,
    options,
  );
}

const ask = async (app: HttpApp, path: string, headers: Record<string, string> = {}) => {
  const answer = await app.fetch(new Request(`http://localhost${path}`, { headers }));
  return { status: answer.status, text: await answer.text() };
};

test("at / the program has every path that is none of the node's", async () => {
  const app = appOf("/");
  for (const path of ["/", "/jobs", "/v1x", "/v2/databases", "/healthy"]) {
    expect(await ask(app, path)).toEqual({ status: 200, text: "program: anonymous" });
  }
  expect(await ask(app, "/health/live")).toMatchObject({ text: '{"live":true}\n' });
  expect((await ask(app, "/v1/nothing")).text).toContain("There is no GET /v1/nothing");
  expect((await ask(app, "/metrics")).text).toContain("headgate_up");
});

test("below a prefix the program has that and no more", async () => {
  const app = appOf("/app");
  expect((await ask(app, "/app")).text).toBe("program: anonymous");
  expect((await ask(app, "/app/jobs?x=1")).text).toBe("program: anonymous");
  expect((await ask(app, "/apple")).status).toBe(404);
  expect((await ask(app, "/")).status).toBe(404);
});

test("no path of the node's can be the program's", () => {
  for (const path of ["/v1", "/v1/databases", "/health/ready", "/metrics", "/console"]) {
    expect(isMounted(path, "/")).toBe(false);
  }
});

test("where tokens are required the program is asked only by those that have one", async () => {
  node.access.required = true;
  const refused = await ask(appOf("/"), "/jobs");
  expect([refused.status, refused.text.includes("token_missing")]).toEqual([401, true]);
  expect(await ask(appOf("/", { open: true }), "/jobs")).toEqual({
    status: 200,
    text: "program: nobody asked",
  });
  const health = await ask(appOf("/", { open: true }), "/v1/databases");
  expect(health.status).toBe(401);
});

test("a node that drains turns the program's clients down too", async () => {
  node.isDraining = true;
  expect(await ask(appOf("/"), "/jobs")).toMatchObject({ status: 503 });
});

test("a program that throws is a bug that is answered", async () => {
  expect(await ask(appOf("/"), "/broken")).toMatchObject({ status: 503 });
});
