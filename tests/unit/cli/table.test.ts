import { describe, expect, test } from "bun:test";
import { cut, formatRecords, formatRows, formatTable, textWidth } from "../../../src/cli/table.ts";
import { parseAnswer, parseParameters, type ResultSet } from "../../../src/cli/value.ts";

const people: ResultSet = {
  columns: ["id", "name", "note"],
  rows: [
    [1, "Ann", null],
    [20, "日本", "two\nlines\tand \u001b[31m"],
    [{ integer: "9007199254740993" }, "👩‍👩‍👧 x", { base64: "3q2+7w==" }],
  ],
};

describe("a table", () => {
  test("lines up wide characters, numbers to the right, NULL and blobs visible", () => {
    expect(formatTable(people, null)).toBe(
      " id               │ name │ note\n" +
        "──────────────────┼──────┼────────────────────────────\n" +
        "                1 │ Ann  │ NULL\n" +
        "               20 │ 日本 │ two\\nlines\\tand \\u001b[31m\n" +
        " 9007199254740993 │ 👩‍👩‍👧 x │ x'deadbeef'\n",
    );
  });

  test("never has a line wider than the terminal", () => {
    for (let width = 10; width < 80; width += 1) {
      for (const line of formatTable(people, width).split("\n")) {
        expect(textWidth(line)).toBeLessThanOrEqual(width);
      }
    }
  });

  test("cuts the widest columns first", () => {
    const result = { columns: ["a", "b"], rows: [["short", "x".repeat(100)]] };
    expect(formatTable(result, 30)).toContain(` short │ ${"x".repeat(19)}…\n`);
  });

  test("becomes records when there are more columns than fit", () => {
    const columns = Array.from({ length: 20 }, (_, index) => `column_${index}`);
    const text = formatTable({ columns, rows: [columns.map(() => "value")] }, 60);
    expect(text).toBe(formatRecords({ columns, rows: [columns.map(() => "value")] }, 60));
    expect(text.split("\n")[0]).toBe(" column_0 = value");
  });

  test("of no columns is nothing, of no rows a head", () => {
    expect(formatTable({ columns: [], rows: [] }, 80)).toBe("");
    expect(formatTable({ columns: ["a"], rows: [] }, 80)).toBe(" a\n───\n");
  });
});

test("CSV quotes what it must, and NULL is empty", () => {
  const result = { columns: ["a", "b,c"], rows: [['say "hi"', null], ["two\nlines", 1]] };
  expect(formatRows(result, "csv", 80))
    .toBe('a,"b,c"\r\n"say ""hi""",\r\n"two\nlines",1\r\n');
});

test("a cut never splits a character", () => {
  expect(cut("日本語", 5)).toBe("日本…");
  expect(cut("日本語", 4)).toBe("日…");
  expect(cut("👩‍👩‍👧👩‍👩‍👧", 3)).toBe("👩‍👩‍👧…");
  expect(cut("abc", 3)).toBe("abc");
});

test("a real keeps its spelling where a number would lose it", () => {
  expect(parseAnswer<unknown>('{"rows":[[1.0,1,1.5,1e300,"1.0"]]}'))
    .toEqual({ rows: [[{ real: "1.0" }, 1, 1.5, { real: "1e300" }, "1.0"]] });
});

describe("parameters", () => {
  test("are JSON where they are JSON, else text", () => {
    const texts = [
      "5",
      "-0.5",
      "null",
      "true",
      '"5"',
      "007",
      "pen",
      "{",
      '{"base64":"AA=="}',
      "[1]",
    ];
    expect(parseParameters(texts)).toEqual([
      5,
      { real: "-0.5" },
      null,
      true,
      "5",
      "007",
      "pen",
      "{",
      { base64: "AA==" },
      "[1]",
    ]);
    expect(parseParameters(["9223372036854775807"])).toEqual([{ integer: "9223372036854775807" }]);
    expect(parseParameters([])).toBeUndefined();
  });

  test("have names, all or none", () => {
    expect(parseParameters([":a=1", "@b=x=y"])).toEqual({ ":a": 1, "@b": "x=y" });
    expect(() => parseParameters([":a=1", "2"])).toThrow("name all of them");
  });
});
