/** Changes of a catalog are made once, and what is not known stays unknown [I7]. */
import { expect, test } from "bun:test";
import { drainMicrotasks } from "bun:jsc";
import { Failure, type FailureKind } from "../../../src/base/failure.ts";
import { seededRandom } from "../../../src/base/random.ts";
import type { WriteRequest } from "../../../src/database/statement.ts";
import { KeysByDatabase } from "../../../src/database/answered-keys.ts";
import { LakeCatalog } from "../../../src/lake/lake-catalog.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

const REFUSED = "Statement 1 failed: CHECK constraint failed: lake_columns_changed";

function catalog(answers: readonly (FailureKind | "done" | "refused")[]) {
  const timeline = new Timeline();
  const sent: WriteRequest[] = [];
  const left = [...answers];
  const lake = new LakeCatalog({
    clock: new SimulatedClock(timeline),
    keys: new KeysByDatabase(seededRandom(1)),
    clockOffsetMs: () => 0,
    databases: {
      execute: (_, request) => {
        sent.push(request);
        const next = left.shift() ?? "unavailable";
        if (next === "done") return Promise.resolve({ text: "{}", epoch: 7 });
        if (next === "refused") return Promise.reject(new Failure("invalid", REFUSED));
        return Promise.reject(new Failure(next, `it said ${next}`));
      },
      query: () => Promise.reject(new Failure("missing", "not asked")),
    },
  }, "web");
  let outcome: unknown = "pending";
  lake.execute([{ sql: "SELECT 1" }], 1_000).then(
    ({ epoch }) => outcome = epoch,
    (error: Failure) => outcome = [error.kind, error.details?.["refusal"]],
  );
  drainMicrotasks();
  while (outcome === "pending" && timeline.step()) drainMicrotasks();
  return { outcome, sent };
}

test("an attempt whose outcome is not known is made again with the same key", () => {
  const { outcome, sent } = catalog(["uncertain", "elsewhere", "uncertain", "done"]);
  expect(outcome).toBe(7);
  expect(new Set(sent.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
  expect(sent.length).toBe(4);
});

test("a change stays uncertain when later attempts did nothing [I7]", () => {
  expect(catalog(["uncertain", "unavailable", "busy"]).outcome).toEqual(["uncertain", undefined]);
});

test("a refusal by the owner settles what was not known before", () => {
  expect(catalog(["uncertain", "refused"]).outcome).toEqual(["conflict", "columns_changed"]);
  expect(catalog(["uncertain", "conflict"]).outcome).toEqual(["conflict", undefined]);
});

test("what did nothing is told at once", () => {
  const { outcome, sent } = catalog(["unavailable", "done"]);
  expect([outcome, sent.length]).toEqual([["unavailable", undefined], 1]);
});

test.each(["ducklake_table", "_headgate_lake"])(
  "a node that has the database and not yet its table %s asks whoever leads",
  async (table) => {
    const levels: string[] = [];
    const lake = new LakeCatalog({
      clock: new SimulatedClock(new Timeline()),
      keys: new KeysByDatabase(seededRandom(1)),
      clockOffsetMs: () => 0,
      databases: {
        execute: () => Promise.reject(new Failure("missing", "not executed")),
        query: (_, { level }) => {
          levels.push(level);
          if (level === "linearizable") return Promise.resolve({ text: '{"rows":[]}', epoch: 3 });
          const message = `Cannot run this query: no such table: ${table}`;
          return Promise.reject(new Failure("invalid", message));
        },
      },
    }, "web");
    const query = { sql: "SELECT 1", params: {}, decode: () => "found" };
    const asked = await lake.ask(query, { level: "local", deadlineMs: 1_000 });
    expect([asked, levels]).toEqual([{ value: "found", epoch: 3 }, ["local", "linearizable"]]);
  },
);
