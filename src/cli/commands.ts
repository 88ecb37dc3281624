/** Every command, in the order of the overview. What runs is loaded when it is run. */
import { ACCESS_COMMANDS } from "./access-commands.ts";
import type { OptionSpec } from "./arguments.ts";
import { CLUSTER_COMMANDS } from "./cluster-commands.ts";
import { type Command, PARAM, TIMEOUT, URL_OPTIONS } from "./command.ts";
import { LAKE_COLUMN_COMMANDS } from "./lake-column-commands.ts";
import { LAKE_COMMANDS } from "./lake-commands.ts";
import { CONFIG_OPTIONS } from "./settings.ts";

const EPOCH: OptionSpec = { name: "epoch", value: "N", help: "as of the end of this epoch" };
const TIME: OptionSpec = {
  name: "time",
  value: "T",
  help: "as of this time, 2026-07-24T18:00:00Z or ms since 1970",
};

const NODE: readonly Command[] = [
  {
    name: "serve",
    operands: "",
    summary: "run a node",
    about: "Runs a node of the cluster that lives in a store. Settings come from config.yaml,\n" +
      "then from HEADGATE_… variables, then from these options.",
    example: "headgate serve --store s3://my-bucket/headgate?region=eu-central-1",
    options: CONFIG_OPTIONS,
    count: [0, 0],
    run: async (args, around) => (await import("./serve.ts")).runServe(args, around),
  },
  {
    name: "dev",
    operands: "",
    summary: "run a node on ./data to try things on",
    about: "Runs a node that keeps everything in a folder and needs no configuration, with a\n" +
      "database `demo` to try it on.",
    example: "headgate dev --port 9000",
    options: [
      { name: "port", value: "PORT", help: "port on 127.0.0.1; default 8080" },
      { name: "data", value: "DIR", help: "folder for the data; default ./data" },
      { name: "log-level", value: "LEVEL", help: "debug, info, warn or error; default warn" },
    ],
    count: [0, 0],
    run: async (args, around) => (await import("./dev.ts")).runDev(args, around),
  },
];

const DATABASE: readonly Command[] = [
  {
    name: "db create",
    operands: "NAME",
    summary: "create a database",
    about: "Creates an empty database. Names are lower case letters, digits, _ and -.",
    example: "headgate db create orders",
    options: [
      ...URL_OPTIONS,
      { name: "page-size", value: "BYTES", help: "512 to 65536, a power of two; default 4096" },
    ],
    count: [1, 1],
    run: async (args, around) => (await import("./database.ts")).runCreate(args, around),
  },
  {
    name: "db list",
    operands: "",
    summary: "list the databases",
    about: "Lists the databases with their sizes, epochs and owners.",
    example: "headgate db list",
    options: URL_OPTIONS,
    count: [0, 0],
    run: async (args, around) => (await import("./database.ts")).runList(args, around),
  },
  {
    name: "db drop",
    operands: "NAME",
    summary: "drop a database",
    about: "Drops a database with all that is in it.",
    example: "headgate db drop orders",
    options: URL_OPTIONS,
    count: [1, 1],
    run: async (args, around) => (await import("./database.ts")).runDrop(args, around),
  },
  {
    name: "db query",
    operands: "NAME [SQL]",
    summary: "read rows",
    about: "Runs one statement that reads. Without SQL, or with -, it is read from the input.",
    example: "headgate db query orders 'SELECT * FROM items WHERE id = ?' --param 7",
    options: [
      ...URL_OPTIONS,
      PARAM,
      { name: "level", value: "LEVEL", help: "local, session or linearizable" },
      { name: "min-epoch", value: "N", help: "answer from this epoch on, with level session" },
      TIMEOUT,
    ],
    count: [1, 2],
    run: async (args, around) => (await import("./sql.ts")).runQuery(args, around),
  },
  {
    name: "db execute",
    operands: "NAME [SQL]",
    summary: "write rows, in one transaction",
    about:
      "Runs the statements as one transaction; done when it is durable. Without SQL, or with\n" +
      "-, they are read from the input. It is never applied twice.",
    example: `headgate db execute orders 'INSERT INTO items (name) VALUES (?)' --param pen`,
    options: [
      ...URL_OPTIONS,
      PARAM,
      { name: "idempotency-key", value: "KEY", help: "the same key again gives the same answer" },
      TIMEOUT,
    ],
    count: [1, 2],
    run: async (args, around) => (await import("./sql.ts")).runExecute(args, around),
  },
  {
    name: "db shell",
    operands: "NAME",
    summary: "an SQL prompt",
    about: "Runs statements as they are typed, each ended by a semicolon. .help lists what else\n" +
      "there is. Reads a script from the input when that is no terminal.",
    example: "headgate db shell orders",
    options: [
      ...URL_OPTIONS.filter(({ name }) => name !== "json"),
      { name: "mode", value: "MODE", help: "table, line, csv or json" },
    ],
    count: [1, 1],
    run: async (args, around) => (await import("./shell.ts")).runShell(args, around),
  },
  {
    name: "db export",
    operands: "NAME -o FILE",
    summary: "write a database to a SQLite file",
    about: "Writes a standard SQLite file of the database as it is, or as it was.",
    example: "headgate db export orders -o orders.db --time 2026-07-24T18:00:00Z",
    options: [
      ...URL_OPTIONS,
      { name: "output", short: "o", value: "FILE", help: "where to write it" },
      EPOCH,
      TIME,
    ],
    count: [1, 1],
    run: async (args, around) => (await import("./database.ts")).runExport(args, around),
  },
  {
    name: "db rollback",
    operands: "NAME",
    summary: "make a database what it was",
    about: "Adds an epoch whose content is that of an earlier one. History is not rewritten: a\n" +
      "rollback can itself be rolled back.",
    example: "headgate db rollback orders --epoch 1200",
    options: [...URL_OPTIONS, EPOCH, TIME],
    count: [1, 1],
    run: async (args, around) => (await import("./database.ts")).runRollback(args, around),
  },
];

const REST: readonly Command[] = [
  {
    name: "doctor",
    operands: "--store URL",
    summary: "try a store and this machine",
    about: "Tries whether a store keeps the promises that a cluster needs, and says what its\n" +
      "requests take and cost, what is wrong with this machine, and which nodes of the cluster\n" +
      "cannot be reached from it.",
    example: "headgate doctor --store s3://my-bucket/headgate?region=eu-central-1",
    options: [
      ...CONFIG_OPTIONS.filter(({ name }) =>
        ["config", "store", "memory-dir", "set"].includes(name)
      ),
      { name: "json", help: "print JSON, for programs" },
    ],
    count: [0, 0],
    run: async (args, around) => (await import("./doctor.ts")).runDoctor(args, around),
  },
  {
    name: "bench",
    operands: "writes|reads|latency|ingest",
    summary: "measure a node",
    about: "Measures a node.",
    example: "headgate bench writes",
    options: [],
    count: [0, 0],
    run: () => Promise.resolve(2),
    raw: async (args) => (await import("./bench/bench.ts")).runBench(args),
  },
  {
    name: "version",
    operands: "",
    summary: "print what this is",
    about: "Prints the versions of Headgate, Bun and SQLite.",
    example: "headgate version --json",
    options: [{ name: "json", help: "print JSON, for programs" }],
    count: [0, 0],
    run: async (args, around) => (await import("./version.ts")).runVersion(args, around),
  },
];

export const COMMANDS: readonly Command[] = [
  ...NODE,
  ...CLUSTER_COMMANDS,
  ...DATABASE,
  ...LAKE_COMMANDS,
  ...LAKE_COLUMN_COMMANDS,
  ...ACCESS_COMMANDS,
  ...REST,
];
