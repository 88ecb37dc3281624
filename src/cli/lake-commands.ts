/** The commands for lakes. */
import type { OptionSpec } from "./arguments.ts";
import { type Command, PARAM, TIMEOUT, URLS_OPTIONS as URL_OPTIONS } from "./command.ts";

const QUERY_OPTIONS: readonly OptionSpec[] = [
  ...URL_OPTIONS,
  { name: "format", value: "FORMAT", help: "table, line, csv, json, ndjson, arrow or parquet" },
  PARAM,
  { name: "snapshot", value: "N", help: "as of this snapshot" },
  {
    name: "time",
    value: "T",
    help: "as of this time, 2026-07-24T18:00:00Z or ms since 1970",
  },
  { name: "min-epoch", value: "N", help: "answer from this epoch on, as an ingestion said it" },
  TIMEOUT,
];

const INGEST_OPTIONS: readonly OptionSpec[] = [
  ...URL_OPTIONS,
  { name: "create", help: "make the table, from the beginning of the first file" },
  { name: "format", value: "FORMAT", help: "ndjson, json, csv or arrow, whatever the names say" },
  {
    name: "ack",
    value: "WHEN",
    help: "visible (default), or stored: done before the rows are visible, without a leader too",
  },
  { name: "batch", value: "NAME", help: "rows of another batch are other rows" },
  {
    name: "timeout",
    value: "MS",
    help: "give up when one request is not done after so many ms; default 300000",
  },
];

const INGEST_ABOUT =
  "Stores the rows of files: .ndjson .jsonl .csv .json .arrow .arrows, each also with .gz or\n" +
  ".zst after it; - is the input, with --format. NDJSON and CSV may be of any size: they are\n" +
  "sent in pieces of some MiB, a few at the same time. An array of JSON or Arrow is one\n" +
  "request of at most 64 MiB. What is busy or out of reach is tried again, at the next --url.\n\n" +
  "Each piece is stored once: within a day, the same command may be run again after it was\n" +
  "broken off, and stores only what is missing. A piece is known by the lake, the table, the\n" +
  "path of the file, its place in it, its bytes and the batch; so rows that really are to be\n" +
  "stored twice need another --batch, and a file that has changed or grown is another one.\n" +
  "A bad row stops the command and names its line; what was stored before stays stored.\n\n" +
  "With --ack stored the rows are durable when the command is done, and visible soon after.";

export const LAKE_COMMANDS: readonly Command[] = [
  {
    name: "lake create",
    operands: "NAME",
    summary: "create a lake",
    about: "Creates an empty lake. Names are lower case letters, digits, _ and -.",
    example: "headgate lake create web",
    options: URL_OPTIONS,
    count: [1, 1],
    run: async (args, around) => (await import("./lake.ts")).runCreateLake(args, around),
  },
  {
    name: "lake list",
    operands: "",
    summary: "list the lakes",
    about: "Lists the lakes and where their files are.",
    example: "headgate lake list",
    options: URL_OPTIONS,
    count: [0, 0],
    run: async (args, around) => (await import("./lake.ts")).runListLakes(args, around),
  },
  {
    name: "lake drop",
    operands: "NAME",
    summary: "drop a lake",
    about: "Drops a lake with all its tables. Its files stay in the bucket.",
    example: "headgate lake drop web",
    options: URL_OPTIONS,
    count: [1, 1],
    run: async (args, around) => (await import("./lake.ts")).runDropLake(args, around),
  },
  {
    name: "lake tables",
    operands: "LAKE",
    summary: "list the tables of a lake",
    about: "Lists the tables of a lake with their columns.",
    example: "headgate lake tables web",
    options: URL_OPTIONS,
    count: [1, 1],
    run: async (args, around) => (await import("./lake.ts")).runTables(args, around),
  },
  {
    name: "lake describe",
    operands: "LAKE TABLE",
    summary: "show the columns and the size of a table",
    about:
      "Shows the columns of a table with their types and whether they may be null, how many\n" +
      "rows it has, and the bytes of its files.",
    example: "headgate lake describe web events",
    options: URL_OPTIONS,
    count: [2, 2],
    run: async (args, around) => (await import("./lake.ts")).runDescribe(args, around),
  },
  {
    name: "lake snapshots",
    operands: "LAKE",
    summary: "list the snapshots of a lake",
    about: "Lists the snapshots of a lake, the newest last, with their times and what changed.",
    example: "headgate lake snapshots web",
    options: URL_OPTIONS,
    count: [1, 1],
    run: async (args, around) => (await import("./lake.ts")).runSnapshots(args, around),
  },
  {
    name: "lake query",
    operands: "LAKE [SQL]",
    summary: "read rows of a lake",
    about:
      "Runs one statement that reads, in the SQL of DuckDB. Without SQL, or with -, it is read\n" +
      "from the input. Tables show the first 2000 rows; the other formats are written as they\n" +
      "come, all of them.",
    example: "headgate lake query web 'SELECT count(*) FROM events WHERE kind = ?' --param click",
    options: QUERY_OPTIONS,
    count: [1, 2],
    run: async (args, around) => (await import("./lake-query.ts")).runLakeQuery(args, around),
  },
  {
    name: "lake catalog",
    operands: "LAKE -o FILE",
    summary: "write a lake's catalog to a SQLite file",
    about:
      "Writes the catalog of a lake as it is, for any DuckDB with its ducklake extension, and\n" +
      "prints the statement that attaches it. The file is a copy: read it, do not write to it.",
    example: "headgate lake catalog web -o web.sqlite --url http://node1.example.com:8080",
    options: [
      ...URL_OPTIONS,
      { name: "output", short: "o", value: "FILE", help: "where to write it" },
    ],
    count: [1, 1],
    run: async (args, around) => (await import("./lake.ts")).runCatalog(args, around),
  },
  {
    name: "lake flush",
    operands: "LAKE [TABLE]",
    summary: "move rows from a lake's catalog into files",
    about: "Moves rows that are in the catalog into Parquet files, of one table or of all. The\n" +
      "leader does so by itself, by number and age.",
    example: "headgate lake flush web events",
    options: URL_OPTIONS,
    count: [1, 2],
    run: async (args, around) => (await import("./lake-upkeep.ts")).runFlush(args, around),
  },
  {
    name: "lake merge",
    operands: "LAKE [TABLE]",
    summary: "make few files of many small ones",
    about:
      "Merges small files of one table, or of all, into as few as they can become. The leader\n" +
      "does so by itself once there are some. Rows and snapshots stay what they were.",
    example: "headgate lake merge web events",
    options: URL_OPTIONS,
    count: [1, 2],
    run: async (args, around) => (await import("./lake-upkeep.ts")).runMerge(args, around),
  },
  {
    name: "lake expire",
    operands: "LAKE --older-than AGE | --before T",
    summary: "remove old snapshots of a lake",
    about:
      "Removes the snapshots from before then: they can be read no more. The newest one stays.\n" +
      "Files that only they could see are deleted when no restore can need them. Nothing\n" +
      "expires by itself.",
    example: "headgate lake expire web --older-than 7d",
    options: [
      ...URL_OPTIONS,
      { name: "older-than", value: "AGE", help: "older than 90s, 30m, 12h or 7d" },
      {
        name: "before",
        value: "T",
        help: "from before this time, 2026-07-24T18:00:00Z or ms since 1970",
      },
    ],
    count: [1, 1],
    run: async (args, around) => (await import("./lake-upkeep.ts")).runExpire(args, around),
  },
  {
    name: "lake ingest",
    operands: "LAKE TABLE FILE…",
    summary: "store the rows of files",
    about: INGEST_ABOUT,
    example: "headgate lake ingest web events events.ndjson.gz --create",
    options: INGEST_OPTIONS,
    count: [3, Infinity],
    run: async (args, around) => (await import("./lake-ingest.ts")).runIngest(args, around),
  },
];
