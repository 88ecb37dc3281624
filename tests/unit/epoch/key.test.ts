import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import {
  brokerKey,
  databasePrefix,
  levelPrefix,
  objectKey,
  parseBrokerKey,
  parseObjectKey,
} from "../../../src/epoch/key.ts";
import {
  catalogDatabase,
  checkDatabaseName,
  checkLakeName,
  checkNodeId,
  isDatabaseName,
} from "../../../src/epoch/name.ts";

describe("a chain's keys", () => {
  test("lie where Litestream looks for them on S3 and in a directory", () => {
    expect(objectKey("s3", "orders", 0, 255, 255))
      .toBe("databases/orders/0000/00000000000000ff-00000000000000ff.ltx");
    expect(objectKey("s3", "orders", 9, 1, 4096))
      .toBe("databases/orders/0009/0000000000000001-0000000000001000.ltx");
    expect(objectKey("filesystem", "orders", 0, 255, 255))
      .toBe("databases/orders/ltx/0/00000000000000ff-00000000000000ff.ltx");
    expect(levelPrefix("filesystem", "orders", 9)).toBe("databases/orders/ltx/9/");
    expect(databasePrefix("orders")).toBe("databases/orders/");
  });

  test("come back from parsing, in both layouts", () => {
    for (const layout of ["s3", "filesystem"] as const) {
      for (const [level, min, max] of [[0, 7, 7], [1, 2, 9], [9, 1, 2 ** 53 - 1]] as const) {
        expect(parseObjectKey(layout, objectKey(layout, "a-b_9", level, min, max)))
          .toEqual({ database: "a-b_9", level, min, max });
      }
    }
  });

  test("sort as their epochs do", () => {
    const keys = [9, 10, 255, 256, 2 ** 40].map((epoch) => objectKey("s3", "x", 0, epoch, epoch));
    expect(keys.toSorted()).toEqual(keys);
  });

  test("that we would not build are not ours", () => {
    const hex = (epoch: number) => epoch.toString(16).padStart(16, "0");
    const range = (min: number, max: number) => `${hex(min)}-${hex(max)}.ltx`;
    for (
      const key of [
        "",
        `databases/orders/0000/${range(7, 8)}`,
        `databases/orders/0009/${range(2, 8)}`,
        `databases/orders/0001/${range(8, 7)}`,
        `databases/orders/0001/${range(0, 7)}`,
        `databases/orders/000a/${range(7, 7)}`,
        `databases/orders/0010/${range(7, 7)}`,
        `databases/orders/0/${range(7, 7)}`,
        `databases/orders/ltx/0/${range(7, 7)}`,
        `databases/Orders/0000/${range(7, 7)}`,
        `databases/../0000/${range(7, 7)}`,
        `databases//0000/${range(7, 7)}`,
        `x/databases/orders/0000/${range(7, 7)}`,
        `databases/orders/0000/${range(7, 7)}.tmp`,
        `databases/orders/0000/${range(10, 10).toUpperCase()}`,
        "databases/orders/0000/ffffffffffffffff-ffffffffffffffff.ltx",
      ]
    ) expect(parseObjectKey("s3", key)).toBeNull();
    expect(parseObjectKey("filesystem", `databases/orders/0000/${range(7, 7)}`)).toBeNull();
  });

  test("are never built from a name that is none", () => {
    for (const name of ["", "..", "a/b", "A", "a.b", "-a", "x".repeat(64)]) {
      expect(() => objectKey("s3", name, 0, 1, 1)).toThrow("assertion failed");
      expect(() => brokerKey(name)).toThrow("assertion failed");
    }
    expect(() => objectKey("s3", "a", 10, 1, 1)).toThrow("level 10");
    expect(() => objectKey("s3", "a", 0, 0, 1)).toThrow("epochs 0 to 1");
    expect(() => objectKey("s3", "a", 1, 3, 2)).toThrow("epochs 3 to 2");
  });
});

test("a node's file carries its id", () => {
  expect(brokerKey("node-1")).toBe("cluster_state/brokers/node-1.json");
  expect(parseBrokerKey("cluster_state/brokers/node-1.json")).toBe("node-1");
  expect(parseBrokerKey("cluster_state/brokers/a/b.json")).toBeNull();
  expect(parseBrokerKey("cluster_state/leader.json")).toBeNull();
});

describe("names", () => {
  test("of the allowed shape are taken", () => {
    for (const name of ["a", "0", "orders", "a-b_c9", "x".repeat(63), "lake", "systems"]) {
      checkDatabaseName(name);
      checkNodeId(name);
    }
    checkLakeName("x".repeat(58));
    expect(catalogDatabase("x".repeat(58))).toBe(`lake-${"x".repeat(58)}`);
    expect(isDatabaseName(catalogDatabase("x".repeat(58)))).toBe(true);
    expect(isDatabaseName("system")).toBe(true);
  });

  test("of another shape are invalid, and the failure shows name and rule", () => {
    for (const name of ["", "A", "é", "a b", "a.b", "../x", "_a", "-a", "a\n", "x".repeat(64)]) {
      expectInvalid(() => checkDatabaseName(name), "database name");
      expectInvalid(() => checkNodeId(name), "node name");
    }
    expectInvalid(() => checkLakeName("x".repeat(59)), "1 to 58 of a–z");
    expectInvalid(() => checkDatabaseName("x".repeat(10_000)), "x…");
  });

  test("that are the machinery's are invalid for clients", () => {
    expectInvalid(() => checkDatabaseName("system"), "is the cluster's own");
    expectInvalid(() => checkDatabaseName("lake-sales"), "is reserved");
  });
});

function expectInvalid(check: () => void, message: string): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect(error.kind).toBe("invalid");
    expect(error.message).toContain(message);
    expect(error.message.length).toBeLessThan(300);
    return;
  }
  throw new Error("taken, but should be invalid");
}
