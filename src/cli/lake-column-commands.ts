/** The commands for the columns of a lake's tables. */
import { type Command, URLS_OPTIONS } from "./command.ts";

export const LAKE_COLUMN_COMMANDS: readonly Command[] = [
  {
    name: "lake column add",
    operands: "LAKE TABLE COLUMN TYPE",
    summary: "add a column to a table",
    about:
      "Adds a column behind the others. Rows that are there have null in it. TYPE is a type of\n" +
      "DuckLake, as int64, varchar, decimal(18,2) or timestamptz.",
    example: "headgate lake column add web events price 'decimal(18,2)'",
    options: URLS_OPTIONS,
    count: [4, 4],
    run: async (args, around) => (await import("./lake-column.ts")).runAddColumn(args, around),
  },
  {
    name: "lake column rename",
    operands: "LAKE TABLE COLUMN NAME",
    summary: "give a column another name",
    about: "Gives a column another name, under which all its rows are found, old ones too.",
    example: "headgate lake column rename web events ts created_at",
    options: URLS_OPTIONS,
    count: [4, 4],
    run: async (args, around) => (await import("./lake-column.ts")).runRenameColumn(args, around),
  },
  {
    name: "lake column drop",
    operands: "LAKE TABLE COLUMN",
    summary: "drop a column of a table",
    about: "Drops a column. Queries as of earlier snapshots still see it. The last one stays.",
    example: "headgate lake column drop web events price",
    options: URLS_OPTIONS,
    count: [3, 3],
    run: async (args, around) => (await import("./lake-column.ts")).runDropColumn(args, around),
  },
];
