import { describe, expect, test } from "bun:test";
import {
  parseKeyHeader,
  parseLake,
  parseLakeQuery,
  parseReadParameters,
  parseRowsParameters,
  parseTable,
  queryFormat,
  tableName,
} from "../../../src/http/lake-requests.ts";

const invalid = expect.objectContaining({ kind: "invalid" });

function outcome<T>(parse: () => T): T | unknown {
  try {
    return parse();
  } catch (error) {
    return error;
  }
}

test("a table is named alone or with its schema, whatever else its name holds", () => {
  expect(tableName("events")).toEqual({ schema: "main", name: "events" });
  expect(tableName("s.t.u")).toEqual({ schema: "s", name: "t.u" });
  expect(tableName('x"; drop')).toEqual({ schema: "main", name: 'x"; drop' });
  for (const wrong of ["", ".", "s.", ".t"]) {
    expect(outcome(() => tableName(wrong))).toEqual(invalid);
  }
});

test("a lake's body has its name and nothing else", () => {
  expect(parseLake({ name: "web" })).toBe("web");
  for (const wrong of [null, [], "web", {}, { name: 1 }, { name: "web", more: 1 }]) {
    expect(outcome(() => parseLake(wrong))).toEqual(invalid);
  }
});

describe("a table's body", () => {
  const table = (columns: unknown) => parseTable({ name: "s.t", columns });

  test("has columns with their types, nullable where it does not say", () => {
    const element = { name: "element", type: "decimal(18,2)" };
    expect(table([
      { name: "id", type: "int64", nullable: false },
      { name: "list", type: "list", children: [element] },
    ])).toEqual({
      schema: "s",
      name: "t",
      columns: [
        { name: "id", type: { name: "int64" }, nullable: false, children: [] },
        {
          name: "list",
          type: { name: "list" },
          nullable: true,
          children: [{
            name: "element",
            type: { name: "decimal", precision: 18, scale: 2 },
            nullable: true,
            children: [],
          }],
        },
      ],
    });
  });

  test("is refused with the place of what is wrong", () => {
    const deep = (levels: number): unknown[] => [{
      name: "a",
      type: "list",
      children: levels === 0 ? [] : deep(levels - 1),
    }];
    const cases: readonly [unknown, RegExp][] = [
      [[], /columns/],
      ["id int64", /columns/],
      [[{ name: "", type: "int64" }], /columns\[0\]\.name/],
      [[{ name: "a", type: "int65" }], /columns\[0\]\.type/],
      [[{ name: "a", type: 1 }], /columns\[0\]\.type/],
      [[{ name: "a", type: "int64", nullable: "no" }], /columns\[0\]\.nullable/],
      [[{ name: "a", type: "int64", default: 1 }], /default/],
      [
        [{ name: "a", type: "list", children: [{ name: "b" }] }],
        /columns\[0\]\.children\[0\]\.type/,
      ],
      [[{ name: "a", type: "list", children: "int64" }], /columns\[0\]\.children/],
      [deep(40), /children/],
    ];
    for (const [columns, message] of cases) {
      const thrown = outcome(() => table(columns)) as Error;
      expect(thrown).toEqual(invalid);
      expect(thrown.message).toMatch(message);
    }
  });
});

test("parameters are those that are known, with values that they can have", () => {
  const rows = (query: string) => outcome(() => parseRowsParameters(new URLSearchParams(query)));
  expect(rows("")).toEqual({ create: false, ack: "visible" });
  expect(rows("create=true&timeout_ms=50"))
    .toEqual({ create: true, ack: "visible", timeoutMs: 50 });
  expect(rows("ack=stored")).toEqual({ create: false, ack: "stored" });
  for (
    const wrong of [
      "ack=",
      "ack=seen",
      "create=1",
      "create=",
      "creat=true",
      "timeout_ms=0",
      "timeout_ms=1e3",
      "x",
    ]
  ) {
    expect(rows(wrong)).toEqual(invalid);
  }
  const read = (query: string) => outcome(() => parseReadParameters(new URLSearchParams(query)));
  expect(read("")).toEqual({});
  expect(read("min_epoch=7&timeout_ms=50")).toEqual({ minEpoch: 7, timeoutMs: 50 });
  for (const wrong of ["min_epoch=0", "min_epoch=-1", "min_epoch=x", "level=local"]) {
    expect(read(wrong)).toEqual(invalid);
  }
});

describe("a query's body", () => {
  const query = (body: object) => outcome(() => parseLakeQuery({ sql: "SELECT 1", ...body }));
  const plain = { sql: "SELECT 1", moment: "newest", level: "local" };

  test("says what is read, how new it is and of which moment", () => {
    expect(query({})).toEqual(plain);
    expect(query({ min_epoch: 3 })).toEqual({ ...plain, level: "session", minEpoch: 3 });
    expect(query({ min_epoch: 3, level: "session", timeout_ms: 9 }))
      .toEqual({ ...plain, level: "session", minEpoch: 3, timeoutMs: 9 });
    expect(query({ level: "linearizable", snapshot: 0 }))
      .toEqual({ ...plain, level: "linearizable", moment: { version: 0 } });
    expect(query({ time: "2026-01-01T00:00:00Z" }))
      .toEqual({ ...plain, moment: { atMs: Date.UTC(2026, 0, 1) } });
    expect(query({ params: [1, { integer: "9007199254740993" }] })).toMatchObject({
      sql: "SELECT 1",
    });
  });

  test("is refused where it contradicts itself or says what nobody knows", () => {
    const cases = [
      { sql: "" },
      { sql: " \n" },
      { sql: 1 },
      { snapshot: 1, time: "2026-01-01T00:00:00Z" },
      { snapshot: -1 },
      { snapshot: 1.5 },
      { time: "yesterday" },
      { level: "session" },
      { level: "local", min_epoch: 3 },
      { level: "newest" },
      { min_epoch: 0 },
      { timeout_ms: -1 },
      { params: "x" },
      { timeout: 5 },
    ];
    for (const one of cases) expect([one, query(one)]).toEqual([one, invalid]);
  });
});

test("an answer's format is the first that is known of those that are accepted", () => {
  expect(queryFormat(null)).toBe("json");
  expect(queryFormat("text/html, application/x-ndjson;q=0.9, */*")).toBe("ndjson");
  expect(queryFormat("TEXT/CSV")).toBe("csv");
  expect(queryFormat("application/vnd.apache.arrow.stream")).toBe("arrow");
  expect(queryFormat("application/vnd.apache.parquet, */*")).toBe("parquet");
  expect(queryFormat("image/png, */*;q=0.1")).toBe("json");
  expect(outcome(() => queryFormat("text/html"))).toEqual(invalid);
  expect(outcome(() => queryFormat("constructor"))).toEqual(invalid);
});

test("a key is there or not, and not empty or endless", () => {
  expect(parseKeyHeader(null)).toBeUndefined();
  expect(parseKeyHeader("a key")).toBe("a key");
  expect(outcome(() => parseKeyHeader(""))).toEqual(invalid);
  expect(outcome(() => parseKeyHeader("k".repeat(100_000)))).toEqual(invalid);
});
