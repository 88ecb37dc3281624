/** Queries over Parquet files as a lake has them, in real child processes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import { isFailure } from "../../src/base/failure.ts";
import type { Column } from "../../src/lake/column.ts";
import { readFooter } from "../../src/lake/parquet/footer.ts";
import type { LakeQuery, QueryFormat, QueryTable } from "../../src/lake/query/lake-query.ts";
import type { LakeQueries } from "../../src/lake/query/queries.ts";
import { ParquetJudge } from "../support/duckdb-parquet.ts";
import {
  ask,
  bytesOf,
  column,
  type LakeStage,
  lakeStage,
  nested,
  rowsOf,
  table,
  textOf,
} from "../support/lake-queries.ts";

let stage: LakeStage;
let queries: LakeQueries;

beforeAll(() => {
  stage = lakeStage();
  queries = stage.queries();
});
afterAll(() => stage.close());

interface Example {
  readonly column: Omit<Column, "id" | "name">;
  /** SQL of a value, and how DuckDB writes its type. */
  readonly sql: string;
  readonly type: string;
  readonly json: unknown;
  readonly csv: string;
  /** As apache-arrow shows it, made into text. */
  readonly arrow: string;
}

const plain = (name: Parameters<typeof column>[2]) => {
  const { id: _, name: __, ...rest } = column(0, "", name);
  return rest;
};

const element = column(101, "element", "int32");
const structOf = { ...plain("varchar"), type: { name: "struct" as const } };

const EXAMPLES: readonly Example[] = [
  example("boolean", "true", "BOOLEAN", true, "true", "true"),
  example("int8", "(-128)::TINYINT", "TINYINT", -128, "-128", "-128"),
  example("int16", "(-32768)::SMALLINT", "SMALLINT", -32768, "-32768", "-32768"),
  example("int32", "2147483647", "INTEGER", 2147483647, "2147483647", "2147483647"),
  example(
    "int64",
    "9223372036854775807",
    "BIGINT",
    { integer: "9223372036854775807" },
    "9223372036854775807",
    "9223372036854775807",
  ),
  example("uint8", "255::UTINYINT", "UTINYINT", 255, "255", "255"),
  example("uint16", "65535::USMALLINT", "USMALLINT", 65535, "65535", "65535"),
  example("uint32", "4294967295::UINTEGER", "UINTEGER", 4294967295, "4294967295", "4294967295"),
  example(
    "uint64",
    "18446744073709551615::UBIGINT",
    "UBIGINT",
    { integer: "18446744073709551615" },
    "18446744073709551615",
    "18446744073709551615",
  ),
  example("int128", "7::HUGEINT", "HUGEINT", 7, "7", "7"),
  example("float32", "0.1::FLOAT", "FLOAT", 0.1, "0.1", "0.10000000149011612"),
  example("float64", "'NaN'::DOUBLE", "DOUBLE", { real: "NaN" }, "NaN", "NaN"),
  example("date", "DATE '2020-02-29'", "DATE", "2020-02-29", "2020-02-29", "1582934400000"),
  example("time", "TIME '12:34:56.5'", "TIME", "12:34:56.500", "12:34:56.500", "45296500000"),
  example(
    "timestamp",
    "TIMESTAMP '2020-02-29 12:34:56.789012'",
    "TIMESTAMP",
    "2020-02-29T12:34:56.789012",
    "2020-02-29T12:34:56.789012",
    "1582979696789.012",
  ),
  example(
    "timestamp_ms",
    "'2020-02-29 12:34:56.789'::TIMESTAMP_MS",
    "TIMESTAMP_MS",
    "2020-02-29T12:34:56.789",
    "2020-02-29T12:34:56.789",
    "1582979696789",
  ),
  example(
    "timestamp_s",
    "'2020-02-29 12:34:56'::TIMESTAMP_S",
    "TIMESTAMP_S",
    "2020-02-29T12:34:56",
    "2020-02-29T12:34:56",
    "1582979696000",
  ),
  example(
    "timestamp_ns",
    "'2020-02-29 12:34:56.789012345'::TIMESTAMP_NS",
    "TIMESTAMP_NS",
    "2020-02-29T12:34:56.789012345",
    "2020-02-29T12:34:56.789012345",
    "1582979696789.0125",
  ),
  example(
    "timestamptz",
    "TIMESTAMPTZ '2020-02-29 12:34:56+01'",
    "TIMESTAMP WITH TIME ZONE",
    "2020-02-29T11:34:56Z",
    "2020-02-29T11:34:56Z",
    "1582976096000",
  ),
  example("varchar", "'a \"b\", 🦆'", "VARCHAR", 'a "b", 🦆', '"a ""b"", 🦆"', 'a "b", 🦆'),
  example("json", "'{\"a\":1}'::JSON", "JSON", '{"a":1}', '"{""a"":1}"', '{"a":1}'),
  example(
    "uuid",
    "'00112233-4455-6677-8899-aabbccddeeff'::UUID",
    "UUID",
    "00112233-4455-6677-8899-aabbccddeeff",
    "00112233-4455-6677-8899-aabbccddeeff",
    "00112233-4455-6677-8899-aabbccddeeff",
  ),
  example("blob", "'\\x00\\xFF'::BLOB", "BLOB", { base64: "AP8=" }, "AP8=", "0,255"),
  {
    ...example(
      "varchar",
      "(-1.50)::DECIMAL(9,2)",
      "DECIMAL(9,2)",
      { decimal: "-1.50" },
      "-1.50",
      "-150",
    ),
    column: plain({ name: "decimal", precision: 9, scale: 2 }),
  },
  {
    ...example("varchar", "[1, NULL, 3]", "INTEGER[]", [1, null, 3], '"[1,null,3]"', "[1,,3]"),
    column: { ...structOf, type: { name: "list" }, children: [element] },
  },
  {
    ...example(
      "varchar",
      "{'a': 1, 'b': NULL::VARCHAR}",
      'STRUCT("a" INTEGER, "b" VARCHAR)',
      { a: 1, b: null },
      '"{""a"":1,""b"":null}"',
      '{"a": 1, "b": null}',
    ),
    column: { ...structOf, children: [column(102, "a", "int32"), column(103, "b", "varchar")] },
  },
  {
    ...example(
      "varchar",
      "MAP {'k': 1.5::DOUBLE}",
      "MAP(VARCHAR, DOUBLE)",
      [["k", 1.5]],
      '"[[""k"",1.5]]"',
      '{"k": 1.5}',
    ),
    column: {
      ...structOf,
      type: { name: "map" },
      children: [column(104, "key", "varchar"), column(105, "value", "float64")],
    },
  },
];

function example(
  name: Parameters<typeof column>[2],
  sql: string,
  type: string,
  json: unknown,
  csv: string,
  arrow: string,
): Example {
  return { column: plain(name), sql, type, json, csv, arrow };
}

let everyType: QueryTable;

beforeAll(async () => {
  const columns = EXAMPLES.map(({ column }, at) => ({ id: at + 1, name: `c${at}`, ...column }));
  const values = EXAMPLES.map(({ sql }, at) => `${sql} AS c${at}`).join(", ");
  const nulls = EXAMPLES.map(() => "NULL").join(", ");
  const ids = EXAMPLES.map(({ column }, at) => fieldIds(`c${at}`, at + 1, column.children));
  const file = await stage.parquet(`SELECT ${values} UNION ALL SELECT ${nulls}`, ids.join(", "));
  everyType = table("every", columns, [file]);
});

function fieldIds(name: string, id: number, children: readonly Column[]): string {
  if (children.length === 0) return `${name}: ${id}`;
  const inside = children.map((child) => `${child.name}: ${child.id}`).join(", ");
  return `${name}: {__duckdb_field_id: ${id}, ${inside}}`;
}

const everyRow = (format: QueryFormat) => ask("FROM every", { tables: [everyType], format });

test("every type of a lake is exact in JSON", async () => {
  const { columns, types, rows } = JSON.parse(await textOf(queries, everyRow("json")));
  expect(columns).toEqual(EXAMPLES.map((_, at) => `c${at}`));
  expect(types).toEqual(EXAMPLES.map(({ type }) => type));
  expect(rows).toEqual([EXAMPLES.map(({ json }) => json), EXAMPLES.map(() => null)]);
});

test("NDJSON has the columns, a list a row, and at last how many rows there were", async () => {
  const lines = (await textOf(queries, everyRow("ndjson"))).trimEnd().split("\n");
  expect(lines).toHaveLength(4);
  const [head, first, second, last] = lines.map((line) => JSON.parse(line));
  expect(head.types).toEqual(EXAMPLES.map(({ type }) => type));
  expect(first).toEqual(EXAMPLES.map(({ json }) => json));
  expect(second).toEqual(EXAMPLES.map(() => null));
  expect(last).toEqual({ rows: 2 });
});

test("CSV has a header, CRLF, quotes where they are needed, and nothing for null", async () => {
  const names = EXAMPLES.map((_, at) => `c${at}`).join(",");
  const values = EXAMPLES.map(({ csv }) => csv).join(",");
  const nulls = ",".repeat(EXAMPLES.length - 1);
  expect(await textOf(queries, everyRow("csv"))).toBe(`${names}\r\n${values}\r\n${nulls}\r\n`);
});

test("Arrow's own reader finds every type in the stream", async () => {
  const read = tableFromIPC(await bytesOf(queries, everyRow("arrow")));
  expect(read.numRows).toBe(2);
  const shown = EXAMPLES.map((_, at) => String(read.getChildAt(at)?.get(0)));
  expect(shown).toEqual(EXAMPLES.map(({ arrow }) => arrow));
  expect(EXAMPLES.map((_, at) => read.getChildAt(at)?.get(1))).toEqual(EXAMPLES.map(() => null));
});

test("an Arrow stream of many batches, and one of none, is whole", async () => {
  const sql = "SELECT i, i::VARCHAR AS t, [i, i] AS l FROM range(100000) r(i)";
  const many = tableFromIPC(await bytesOf(queries, ask(sql, { format: "arrow" })));
  expect(many.numRows).toBe(100_000);
  expect(many.get(99_999)?.toJSON()["t"]).toBe("99999");
  const none = tableFromIPC(
    await bytesOf(queries, ask(`${sql} WHERE i < 0`, { format: "arrow" })),
  );
  expect(none.numRows).toBe(0);
  expect(none.schema.fields.map(({ name }) => name)).toEqual(["i", "t", "l"]);
});

test("an Arrow stream keeps columns of one name apart, whatever their types", async () => {
  const sql = "SELECT 1 AS a, 'x' AS a, i::INT AS b FROM range(5000) r(i)";
  const read = tableFromIPC(await bytesOf(queries, ask(sql, { format: "arrow" })));
  expect(read.numRows).toBe(5_000);
  expect([0, 1, 2].map((at) => read.getChildAt(at)?.get(4_999))).toEqual([1, "x", 4_999]);
});

describe("as Parquet", () => {
  let judge: ParquetJudge;
  beforeAll(async () => {
    judge = await ParquetJudge.start();
  });
  afterAll(() => judge.stop());

  const kept = async (query: LakeQuery) =>
    judge.keep(await bytesOf(queries, { ...query, format: "parquet" }));

  test("DuckDB finds every type of a lake, and what has no other is text", async () => {
    const same = (type: string) => AS_PARQUET[type] ?? type;
    const path = await kept(everyRow("parquet"));
    const types = (await judge.sql(`DESCRIBE FROM ${path}`)).map(({ column_type }) => column_type);
    expect(types).toEqual(EXAMPLES.map(({ type }) => same(type)));
    const values = EXAMPLES.map(({ sql, type }) => `(${sql})::${same(type)}`).join(", ");
    const [expected] = await judge.values(`SELECT ${values}`);
    expect(await judge.values(`FROM ${path}`)).toEqual([
      expected ?? [],
      EXAMPLES.map(() => null),
    ]);
  });

  test("a result of many row groups is one file, and so is one without rows", async () => {
    const sql = "SELECT i, i::VARCHAR AS t, [i, i] AS l FROM range(400000) r(i)";
    const many = await kept(ask(sql));
    const check = `SELECT count(*)::INT AS rows, sum(i)::BIGINT::VARCHAR AS sum,
      count_if(t <> i::VARCHAR OR l <> [i, i])::INT AS wrong FROM ${many}`;
    expect(await judge.sql(check)).toEqual([{ rows: 400_000, sum: "79999800000", wrong: 0 }]);
    const groups = `SELECT DISTINCT row_group_id::INT AS id, row_group_num_rows::INT AS rows,
      compression FROM parquet_metadata(${many}) ORDER BY id`;
    expect(await judge.sql(groups)).toEqual(
      [122_880, 122_880, 122_880, 31_360].map((rows, id) => ({ id, rows, compression: "ZSTD" })),
    );
    const none = await kept(ask(`${sql} WHERE i < 0`));
    expect(await judge.values(`FROM ${none}`)).toEqual([]);
  });

  test("an integer beyond 38 digits is refused, with its column", async () => {
    const sql = "SELECT 1 AS a, 170141183460469231731687303715884105727 AS b";
    const failure = await kept(ask(sql)).catch((error) => error);
    expect(isFailure(failure, "invalid")).toBe(true);
    expect(failure.message).toContain('Cannot write the column "b" HUGEINT as Parquet');
  });
});

const AS_PARQUET: Readonly<Record<string, string>> = {
  HUGEINT: "DECIMAL(38,0)",
  TIMESTAMP_MS: "TIMESTAMP",
  TIMESTAMP_S: "TIMESTAMP",
  UUID: "VARCHAR",
  JSON: "VARCHAR",
  'STRUCT("a" INTEGER, "b" VARCHAR)': "STRUCT(a INTEGER, b VARCHAR)",
};

test.each(["json", "ndjson", "csv", "arrow"] as const)(
  "DuckDB's own list of types at their limits comes through as %s",
  async (format) => {
    const bytes = await bytesOf(queries, ask("FROM test_all_types()", { format }));
    expect(bytes.length).toBeGreaterThan(1_000);
  },
);

test("and as Parquet, but for the largest integers of 128 bits", async () => {
  const sql = "SELECT * EXCLUDE (hugeint) FROM test_all_types()";
  const bytes = await bytesOf(queries, ask(sql, { format: "parquet" }));
  expect(readFooter(bytes).rows).toBe(3);
});

test("columns are found by id after one was renamed, one added, one dropped and one widened", async () => {
  const before = await stage.parquet(
    "SELECT 1::INTEGER AS id, 'gone' AS dropped, 'a' AS name",
    "id: 1, dropped: 2, name: 3",
  );
  const after = await stage.parquet(
    "SELECT 'b' AS title, 2::BIGINT AS id, 7::INTEGER AS name, 9 AS dropped",
    "title: 3, id: 1, name: 4, dropped: 5",
  );
  const columns = [
    column(1, "id", "int64"),
    column(3, "title", "varchar"),
    column(4, "name", "int32"),
    column(5, "dropped", "int32"),
    column(6, "since", "date"),
  ];
  const tables = [
    table("t", columns, [before, after], { initialDefaults: new Map([[6, "2020-01-02"]]) }),
  ];
  expect(await rowsOf(queries, ask("FROM t ORDER BY id", { tables }))).toEqual([
    [1, "a", null, null, "2020-01-02"],
    [2, "b", 7, 9, "2020-01-02"],
  ]);
});

test("fields of structs are found by id too, in lists and maps, and old ones stay gone", async () => {
  const before = await stage.parquet(
    "SELECT 1 AS id, {'old': 1, 'x': 'gone'} AS s, [{'old': 2}, NULL] AS l, " +
      "MAP {'k': {'old': 3}} AS m",
    "id: 1, s: {__duckdb_field_id: 2, old: 3, x: 4}, " +
      "l: {__duckdb_field_id: 5, element: {__duckdb_field_id: 6, old: 7}}, " +
      "m: {__duckdb_field_id: 8, key: 9, value: {__duckdb_field_id: 10, old: 11}}",
  );
  const after = await stage.parquet(
    "SELECT 2 AS id, {'new': 4, 'x': 5.5::DOUBLE} AS s, NULL::STRUCT(new INTEGER)[] AS l, " +
      "NULL::MAP(VARCHAR, STRUCT(new INTEGER)) AS m",
    "id: 1, s: {__duckdb_field_id: 2, new: 3, x: 12}, " +
      "l: {__duckdb_field_id: 5, element: {__duckdb_field_id: 6, new: 7}}, " +
      "m: {__duckdb_field_id: 8, key: 9, value: {__duckdb_field_id: 10, new: 11}}",
  );
  const columns = [
    column(1, "id", "int32"),
    nested(2, "s", "struct", [column(3, "new", "int32"), column(12, "x", "float64")]),
    nested(5, "l", "list", [nested(6, "element", "struct", [column(7, "new", "int32")])]),
    nested(8, "m", "map", [
      column(9, "key", "varchar"),
      nested(10, "value", "struct", [column(11, "new", "int32")]),
    ]),
  ];
  const tables = [table("t", columns, [before, after])];
  expect(await rowsOf(queries, ask("FROM t ORDER BY id", { tables }))).toEqual([
    [1, { new: 1, x: null }, [{ new: 2 }, null], [["k", { new: 3 }]]],
    [2, { new: 4, x: 5.5 }, null, null],
  ]);
});

test("inlined rows are read with those of files, and deleted rows are not", async () => {
  const data = await stage.parquet("SELECT i AS id FROM range(5) r(i)", "id: 1");
  const inlined = await stage.parquet("SELECT 10::BIGINT AS id", "id: 1");
  const deletions = await stage.parquet(
    "SELECT 'x' AS file_path, p::BIGINT AS pos FROM (VALUES (1), (3)) v(p)",
    "file_path: 1, pos: 2",
  );
  const whole = await stage.parquet("SELECT 20::BIGINT AS id", "id: 1");
  const tables = [
    table("t", [column(1, "id", "int64")], [], {
      files: [{ path: data, deletions }, { path: whole }],
      inlined,
    }),
  ];
  const rows = await rowsOf(queries, ask("FROM t ORDER BY id", { tables }));
  expect(rows).toEqual([[0], [2], [4], [10], [20]]);
});

test("a table without files has its types and no rows, and schemas and odd names are kept apart", async () => {
  const file = await stage.parquet("SELECT 1 AS a", "a: 1");
  const columns = [column(1, "odd \"name'", "int32")];
  const tables = [
    table("empty", everyType.columns, []),
    table("t", columns, [file], { schema: 'my "schema' }),
    table("t", [column(1, "a", "json")], []),
  ];
  const { types, rows } = JSON.parse(await textOf(queries, ask("FROM empty", { tables })));
  expect(types).toEqual(EXAMPLES.map(({ type }) => type));
  expect(rows).toEqual([]);
  expect(await rowsOf(queries, ask('FROM "my ""schema".t', { tables }))).toEqual([[1]]);
  expect(await rowsOf(queries, ask("FROM t", { tables }))).toEqual([]);
});

test("parameters are values by place or by name, of whatever type SQL wants there", async () => {
  const places = ask(
    "SELECT $1 + 1, $2, $3, $4, $5, $6, $7, DATE '2020-01-01' = $8",
    {
      params: [
        41,
        { integer: "170141183460469231731687303715884105727" } as { integer: string },
        { decimal: "-1.50" } as never,
        { real: "NaN" } as { real: string },
        { base64: "AP8=" },
        null,
        1.5,
        "2020-01-01",
      ],
    },
  );
  expect(await rowsOf(queries, places)).toEqual([[
    42,
    { integer: "170141183460469231731687303715884105727" },
    { decimal: "-1.50" },
    { real: "NaN" },
    { base64: "AP8=" },
    null,
    1.5,
    true,
  ]]);
  expect(await rowsOf(queries, ask("SELECT $a || $b || $a", { params: { a: "x", b: "y" } })))
    .toEqual([["xyx"]]);
});

test.each(
  [
    ["SELECT $1", [], "parameter 1: it is missing"],
    ["SELECT $1", [1, 2], 'parameter "2"'],
    ["SELECT $a", { b: 1 }, 'parameter "b"'],
    ["SELECT $1", [2 ** 60], "beyond 2^53"],
    ["SELECT $1", [{ integer: "x" }], "the integer is"],
    ["SELECT $1", [{ base64: "*" }], "it is not base64"],
    ["SELECT $1", [[1]], "is no value"],
  ] as const,
)("a parameter that does not fit is refused: %j %j", async (sql, params, said) => {
  const failure = await textOf(queries, ask(sql, { params: params as never })).catch((e) => e);
  expect(isFailure(failure, "invalid")).toBe(true);
  expect(failure.message).toContain(said);
});

test("a struct whose fields have no names of their own is refused, not garbled", async () => {
  const failure = await textOf(queries, ask("SELECT row(1, 2)")).catch((e) => e);
  expect(isFailure(failure, "invalid")).toBe(true);
  expect(failure.message).toContain("fields without names");
});

test("a lost or damaged file is the lake's fault, and its place is not told", async () => {
  const lost = await stage.parquet("SELECT 1 AS a", "a: 1");
  const damaged = join(stage.directory, "data/damaged.parquet");
  writeFileSync(damaged, "PAR1 this is no Parquet PAR1");
  for (const path of [lost, damaged]) {
    const tables = [table("t", [column(1, "a", "int32")], [path])];
    if (path === lost) rmSync(lost);
    const failure = await textOf(queries, ask("FROM t", { tables })).catch((e) => e);
    expect(isFailure(failure, "corrupt", "unavailable")).toBe(true);
    expect(failure.message).toContain("Cannot read the table main.t");
    expect(failure.message).not.toContain(stage.directory);
  }
});

test("a catalog that DuckDB cannot follow is not the client's fault", async () => {
  const columns = [column(1, "a", "int32"), column(2, "b", "date")];
  const file = await stage.parquet("SELECT 1 AS a", "a: 1");
  const initialDefaults = new Map([[2, "no date"]]);
  const tables = [table("t", columns, [file], { initialDefaults })];
  const failure = await textOf(queries, ask("FROM t", { tables })).catch((e) => e);
  expect(isFailure(failure, "corrupt"), String(failure)).toBe(true);
});

test("the names of a statement's tables are known before any file is fetched", async () => {
  const named = await queries.inspect(ask("SELECT * FROM a.b JOIN c USING (id)"));
  expect(new Set(named)).toEqual(
    new Set([{ schema: "a", name: "b" }, { schema: null, name: "c" }]),
  );
  expect(await queries.inspect(ask("SHOW TABLES"))).toBeNull();
  const failure = await queries.inspect(ask("DROP TABLE a")).catch((e) => e);
  expect(isFailure(failure, "invalid")).toBe(true);
});
