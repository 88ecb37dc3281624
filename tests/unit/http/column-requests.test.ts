/** Changes of columns over HTTP: what may be asked, what the node hears, and who may ask. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { createApp } from "../../../src/http/app.ts";
import { parseColumnChange } from "../../../src/http/column-requests.ts";
import { needOf } from "../../../src/http/need.ts";
import { MemoryNode } from "../../support/memory-node.ts";

describe("a change of columns", () => {
  test("adds a column as a new table has it", () => {
    expect(parseColumnChange({ add: { name: "a", type: "decimal(18,2)" } })).toEqual({
      kind: "add",
      column: {
        ...{ name: "a", nullable: true, children: [] },
        type: { name: "decimal", precision: 18, scale: 2 },
      },
    });
    const element = { name: "element", type: "int8", nullable: false };
    expect(parseColumnChange({ add: { name: "l", type: "list", children: [element] } }))
      .toMatchObject({
        kind: "add",
        column: { type: { name: "list" }, children: [{ name: "element", nullable: false }] },
      });
  });

  test("renames or drops a column by its name", () => {
    expect(parseColumnChange({ rename: { column: "a", to: "b" } }))
      .toEqual({ kind: "rename", column: "a", to: "b" });
    expect(parseColumnChange({ drop: { column: "a" } })).toEqual({ kind: "drop", column: "a" });
  });

  test.each<[unknown, string]>([
    [[], "The body is []; allowed: an object with add, rename, drop"],
    [{}, "The body has no change; allowed: exactly one of add, rename, drop"],
    [
      { drop: { column: "a" }, add: { name: "b", type: "int8" } },
      "The body has drop and add; allowed: exactly one of add, rename, drop",
    ],
    [{ type: {} }, 'The body\'s key "type" is unknown; allowed: add, rename, drop'],
    [{ add: null }, "add is null; allowed: an object with name, type, nullable, children"],
    [{ add: { name: "", type: "int8" } }, 'add.name is ""; allowed: a name'],
    [{ add: { name: "a", type: "int65" } }, 'add.type is "int65"; allowed: a type of DuckLake'],
    [{ add: { name: "a" } }, "add.type is missing"],
    [
      { add: { name: "a", type: "int8", nullable: 1 } },
      "add.nullable is 1; allowed: true or false",
    ],
    [{ add: { name: "a", type: "int8", default: 0 } }, 'add\'s key "default" is unknown'],
    [
      { add: { name: "a", type: "list", children: [{ name: "element" }] } },
      "add.children[0].type is missing",
    ],
    [{ rename: { column: "a" } }, "rename.to is missing; allowed: a column's name"],
    [{ rename: { column: "a", to: "" } }, 'rename.to is ""'],
    [{ rename: { from: "a", to: "b" } }, 'rename\'s key "from" is unknown; allowed: column, to'],
    [{ drop: "a" }, 'drop is "a"; allowed: an object with column'],
    [{ drop: { column: ["a"] } }, 'drop.column is ["a"]'],
  ])("is refused with the place of what is wrong: %j", (body, message) => {
    expect(() => parseColumnChange(body)).toThrow(message);
    expect(() => parseColumnChange(body)).toThrow(expect.objectContaining({ kind: "invalid" }));
  });

  test("needs what making a table needs", () => {
    const making = needOf("POST", "/v1/lakes/web/tables");
    expect(making).toEqual({ kind: "scope", action: "write", name: "web" });
    expect(needOf("PATCH", "/v1/lakes/web/tables/events")).toEqual(making);
    expect(needOf("DELETE", "/v1/lakes/web/tables/events")).toEqual({ kind: "admin" });
    expect(needOf("PATCH", "/v1/lakes/web")).toEqual({ kind: "admin" });
  });
});

describe("the route", () => {
  let node: MemoryNode;
  beforeEach(() => node = new MemoryNode());
  afterEach(() => node.remove());

  async function patch(path: string, body: unknown, headers: Record<string, string> = {}) {
    const app = createApp(node, { clock: systemClock, log: silentLog });
    const answer = await app.fetch(
      new Request(`http://localhost:8080${path}`, {
        method: "PATCH",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      }),
    );
    // deno-lint-ignore no-explicit-any -- tests look into answers freely
    return { status: answer.status, headers: answer.headers, body: await answer.json() as any };
  }

  test("asks the node and answers the snapshot and the epoch", async () => {
    node.memoryLakes.answers.changeColumns = { snapshot: 4, epoch: 7 };
    const answer = await patch("/v1/lakes/web/tables/s.events", { drop: { column: "a" } });
    expect([answer.status, answer.body])
      .toEqual([200, { schema: "s", name: "events", snapshot: 4, epoch: 7 }]);
    expect(answer.headers.get("headgate-epoch")).toBe("7");
    expect(node.memoryLakes.seen).toEqual([{
      call: "changeColumns",
      arguments: ["web", { schema: "s", name: "events" }, { kind: "drop", column: "a" }],
    }]);
  });

  test("refuses what is no change before the node hears of it", async () => {
    const wrong = [
      await patch("/v1/lakes/web/tables/events", {}),
      await patch("/v1/lakes/WEB/tables/events", { drop: { column: "a" } }),
      await patch("/v1/lakes/web/tables/s.", { drop: { column: "a" } }),
    ];
    expect(wrong.map(({ status }) => status)).toEqual([400, 400, 400]);
    expect(node.memoryLakes.seen).toEqual([]);
  });

  test("is closed to who may only read or bring rows", async () => {
    node.memoryLakes.answers.changeColumns = { snapshot: 4, epoch: 7 };
    node.access.required = true;
    const statusOf = async (...scopes: string[]) => {
      const authorization = `Bearer ${node.access.token(scopes)}`;
      const path = "/v1/lakes/web/tables/events";
      return (await patch(path, { drop: { column: "a" } }, { authorization })).status;
    };
    expect(await statusOf("read:*", "ingest:*", "write:shop")).toBe(403);
    expect(await statusOf("write:web")).toBe(200);
    expect(await statusOf("admin")).toBe(200);
  });
});
