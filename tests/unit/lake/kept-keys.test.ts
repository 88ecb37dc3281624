import { beforeEach, expect, test } from "bun:test";
import {
  createKeysTable,
  findKeys,
  forgetKeys,
  isKeyTaken,
  keepKeys,
  otherRequest,
} from "../../../src/lake/kept-keys.ts";
import { LakeCatalog } from "../../support/lake-catalog.ts";

let catalog: LakeCatalog;
beforeEach(() => {
  catalog = new LakeCatalog();
  catalog.execute([{ sql: createKeysTable() }]);
});

const key = (name: string, subject = "ann") => ({ subject, key: name, hash: `hash of ${name}` });

test("keys are found with what their requests did, those of other subjects and others not", () => {
  const names = ["a", 'quoted " and \n', "ä"];
  catalog.execute([keepKeys(names.map((name) => ({ ...key(name), rows: name.length })), 5)]);
  const asked = [...names.map((name) => key(name)), key("a", "bob"), key("b")];
  const found = catalog.ask(findKeys(asked));
  const byKey = new Map(found.map((one) => [one.key, one]));
  expect(found.length).toBe(3);
  for (const name of names) {
    expect(byKey.get(name)).toEqual({ ...key(name), rows: name.length, snapshot: 0 });
  }
});

test("a key that is there refuses all of its transaction, and says so", () => {
  catalog.execute([keepKeys([{ ...key("a"), rows: 1 }], 5)]);
  let thrown: unknown;
  try {
    catalog.execute([keepKeys([{ ...key("b"), rows: 1 }, { ...key("a"), rows: 2 }], 6)]);
  } catch (error) {
    thrown = error;
  }
  expect(isKeyTaken(thrown)).toBe(true);
  expect(catalog.ask(findKeys([key("a"), key("b")]))).toMatchObject([{ key: "a", rows: 1 }]);
  catalog.execute([keepKeys([{ ...key("a", "bob"), rows: 2 }], 6)]);
});

test("nothing else is taken for a key that is there", () => {
  for (const error of [otherRequest("a"), new Error("_headgate_ingested.subject"), null]) {
    expect(isKeyTaken(error)).toBe(false);
  }
});

test("keys are forgotten when they are old enough", () => {
  catalog.execute([keepKeys([{ ...key("old"), rows: 1 }], 5)]);
  catalog.execute([keepKeys([{ ...key("new"), rows: 1 }], 6)]);
  catalog.execute([forgetKeys(6)]);
  expect(catalog.ask(findKeys([key("old"), key("new")])).map((one) => one.key)).toEqual(["new"]);
});
