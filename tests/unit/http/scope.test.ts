import { describe, expect, test } from "bun:test";
import { Grants, isScope, parseScopes } from "../../../src/http/scope.ts";

describe("a scope", () => {
  const good = ["admin", "read:orders", "write:shop-*", "ingest:*", "read:a", "read:0_-*"];
  for (const scope of good) {
    test(`may be ${scope}`, () => expect(parseScopes([scope], "scopes")).toEqual([scope]));
  }

  const bad = [
    "",
    "Admin",
    "admin ",
    "read",
    "read:",
    "read:**",
    "read:a*b",
    "read:*a",
    "read:Orders",
    "read:-x",
    "read:a,write:b",
    "read:a\n",
    "delete:a",
    `read:${"a".repeat(64)}`,
    7,
    null,
    ["admin"],
  ];
  for (const scope of bad) {
    test(`may not be ${JSON.stringify(scope)}`, () => {
      expect(isScope(scope)).toBe(false);
      expect(() => parseScopes(["admin", scope], "scopes")).toThrow("scopes[1] is not a scope");
    });
  }

  test("for the cluster's own database is refused with what it needs", () => {
    expect(() => parseScopes(["read:system"], "scopes")).toThrow("needs the scope admin");
  });

  test("is never repeated in an error: it may be a password", () => {
    expect(() => parseScopes(["hunter2hunter2"], "scopes")).not.toThrow("hunter2");
    expect(() => parseScopes("hunter2hunter2", "scopes")).not.toThrow("hunter2");
  });

  test("comes once, in a list that has an end", () => {
    expect(parseScopes(["read:a", "admin", "read:a"], "scopes")).toEqual(["read:a", "admin"]);
    expect(parseScopes([], "scopes")).toEqual([]);
    const many = Array.from({ length: 65 }, (_, index) => `read:a${index}`);
    expect(() => parseScopes(many, "scopes")).toThrow("at most 64");
  });
});

describe("scopes allow", () => {
  test("what they name and nothing else", () => {
    const grants = new Grants(["read:orders", "write:shop-*", "ingest:*"]);
    expect(grants.isAdmin).toBe(false);
    expect(grants.allow("read", "orders")).toBe(true);
    expect(grants.allow("read", "orders2")).toBe(false);
    expect(grants.allow("read", "order")).toBe(false);
    expect(grants.allow("write", "orders")).toBe(false);
    expect(grants.allow("write", "shop-")).toBe(true);
    expect(grants.allow("write", "shop-eu")).toBe(true);
    expect(grants.allow("write", "shop")).toBe(false);
    expect(grants.allow("read", "shop-eu")).toBe(false);
    expect(grants.allow("ingest", "anything")).toBe(true);
  });

  test("nothing where there are none", () => {
    for (const action of ["read", "write", "ingest"] as const) {
      expect(new Grants([]).allow(action, "orders")).toBe(false);
    }
  });

  test("everything to admin, and the cluster's own database to nobody else", () => {
    const admin = new Grants(["admin"]);
    const all = new Grants(["read:*", "write:*", "ingest:*", "read:sys*"]);
    for (const action of ["read", "write", "ingest"] as const) {
      expect(admin.allow(action, "system")).toBe(true);
      expect(admin.allow(action, "orders")).toBe(true);
      expect(all.allow(action, "system")).toBe(false);
    }
    expect(all.allow("read", "systems")).toBe(true);
  });
});
