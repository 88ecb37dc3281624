import { describe, expect, test } from "bun:test";
import {
  nearest,
  type OptionSpec,
  parseArguments,
  UsageError,
} from "../../../src/cli/arguments.ts";

const SPECS: OptionSpec[] = [
  { name: "url", value: "URL", help: "" },
  { name: "param", short: "p", value: "VALUE", many: true, help: "" },
  { name: "json", help: "" },
];

const parse = (...args: string[]) => parseArguments(args, SPECS);

describe("arguments", () => {
  test("are options and positionals, in any order", () => {
    const args = parse("a", "--url", "u", "b", "--json", "-p", "1", "--param=x=y", "-");
    expect(args.positionals).toEqual(["a", "b", "-"]);
    expect(args.text("url")).toBe("u");
    expect(args.has("json")).toBe(true);
    expect(args.all("param")).toEqual(["1", "x=y"]);
    expect(args.text("token")).toBeUndefined();
  });

  test("after -- are all positionals", () => {
    expect(parse("--json", "--", "--url", "-x").positionals).toEqual(["--url", "-x"]);
  });

  test("may have values that begin with a dash", () => {
    expect(parse("-p", "-5", "--param", "--x").all("param")).toEqual(["-5", "--x"]);
  });

  const wrong: [args: string[], message: string][] = [
    [["--jsn"], "There is no option --jsn; did you mean --json?"],
    [["--frobnicate"], "There is no option --frobnicate"],
    [["-x"], "There is no option -x"],
    [["--url"], "--url needs a value: --url URL"],
    [["--json=1"], "--json takes no value"],
    [["--url", "a", "--url", "b"], "--url is given twice"],
  ];
  for (const [args, message] of wrong) {
    test(`that are wrong say so: ${args.join(" ")}`, () => {
      expect(() => parse(...args)).toThrow(new UsageError(message));
    });
  }

  test("that are numbers are whole", () => {
    expect(parse("--url", "12").whole("url", 1)).toBe(12);
    for (const text of ["0", "-1", "1.5", "x", ""]) {
      expect(() => parse(`--url=${text}`).whole("url", 1)).toThrow("a whole number from 1");
    }
  });
});

test("the nearest word is found if it is near", () => {
  const words = ["serve", "dev", "db query", "db list", "version"];
  expect(nearest("sevre", words)).toBe("serve");
  expect(nearest("db qeury", words)).toBe("db query");
  expect(nearest("dve", words)).toBe("dev");
  expect(nearest("frobnicate", words)).toBeNull();
});
