import { afterAll, beforeEach, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { LakeCommands } from "./lake-harness.ts";

const commands = new LakeCommands();
afterAll(() => commands.close());
beforeEach(() => {
  commands.reset();
  commands.answers.changeColumns = { snapshot: 4, epoch: 7 };
});

const run = (...args: string[]) => commands.run(["lake", "column", ...args]);
const asked = () => commands.node.memoryLakes.seen.at(-1);

test("lake column add, rename and drop say what they did", async () => {
  const table = { schema: "s", name: "events" };
  expect(await run("add", "web", "s.events", "price", "decimal(18,2)"))
    .toMatchObject({ code: 0, out: "added price, snapshot 4, epoch 7\n" });
  const type = { name: "decimal", precision: 18, scale: 2 };
  const column = { name: "price", type, nullable: true, children: [] };
  expect(asked()?.arguments).toEqual(["web", table, { kind: "add", column }]);
  expect((await run("rename", "web", "s.events", "a", "b c")).out)
    .toBe("renamed a to b c, snapshot 4, epoch 7\n");
  expect(asked()?.arguments).toEqual(["web", table, { kind: "rename", column: "a", to: "b c" }]);
  expect((await run("drop", "web", "s.events", "a")).out)
    .toBe("dropped a, snapshot 4, epoch 7\n");
  expect(asked()?.arguments).toEqual(["web", table, { kind: "drop", column: "a" }]);
  expect(JSON.parse((await run("drop", "web", "events", "a", "--json")).out))
    .toEqual({ schema: "main", name: "events", snapshot: 4, epoch: 7 });
});

test("lake column ends with 2 where something is missing, and with 1 where it is refused", async () => {
  expect((await run("add", "web", "events", "price")).code).toBe(2);
  expect((await run("rename", "web", "events", "a")).code).toBe(2);
  expect(commands.node.memoryLakes.seen).toEqual([]);
  expect(await run("add", "web", "events", "price", "money")).toMatchObject({
    code: 1,
    err: expect.stringContaining('add.type is "money"; allowed: a type of DuckLake'),
  });
  commands.answers.changeColumns = () => {
    throw new Failure("conflict", "It is the last one");
  };
  expect(await run("drop", "web", "events", "a"))
    .toMatchObject({ code: 1, err: "conflict: It is the last one\n" });
});
