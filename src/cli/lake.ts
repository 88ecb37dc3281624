/** `lake create`, `list`, `drop`, `tables`, `describe`, `snapshots` and `catalog`. */
import type { LakeInfo } from "../lake/lakes.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import type { ApiRequest } from "./client.ts";
import { sizeText } from "./database.ts";
import { nodesClientOf } from "./nodes-client.ts";
import { saveAnswer } from "./save.ts";
import { countText } from "./sql.ts";
import { formatTable } from "./table.ts";
import type { ResultSet } from "./value.ts";

const LAKES = "/v1/lakes";

interface ColumnAnswer {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly children?: readonly ColumnAnswer[];
}

interface TableAnswer {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly ColumnAnswer[];
}

interface DescribedTable extends TableAnswer {
  readonly rows: number;
  readonly file_bytes: number;
  readonly epoch: number;
}

interface SnapshotsAnswer {
  readonly snapshots: readonly {
    readonly snapshot: number;
    readonly at: string;
    readonly changes: string;
  }[];
  readonly epoch: number;
}

export function lakePath(lake: string): string {
  return `${LAKES}/${encodeURIComponent(lake)}`;
}

export function tablePath(lake: string, table: string): string {
  return `${lakePath(lake)}/tables/${encodeURIComponent(table)}`;
}

export function runCreateLake(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const request: ApiRequest = { method: "POST", path: LAKES, body: { name } };
  return show<LakeInfo>(
    args,
    around,
    request,
    (lake) => `created ${lake.name}, with its files at ${lake.data_path}\n`,
  );
}

export function runListLakes(args: ParsedArguments, around: Surroundings): Promise<number> {
  const request: ApiRequest = { method: "GET", path: LAKES };
  return show<{ lakes: readonly LakeInfo[] }>(
    args,
    around,
    request,
    ({ lakes }) =>
      tableText(around, {
        columns: ["name", "files"],
        rows: lakes.map((lake) => [lake.name, lake.data_path]),
      }),
  );
}

export function runDropLake(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const request: ApiRequest = { method: "DELETE", path: lakePath(name) };
  return show<{ epoch: number }>(
    args,
    around,
    request,
    ({ epoch }) => `dropped ${name} in epoch ${epoch}\n`,
  );
}

export function runTables(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [lake = ""] = args.positionals;
  const request: ApiRequest = { method: "GET", path: `${lakePath(lake)}/tables` };
  return show<{ tables: readonly TableAnswer[] }>(
    args,
    around,
    request,
    ({ tables }) =>
      tableText(around, {
        columns: ["schema", "table", "columns"],
        rows: tables.map(({ schema, name, columns }) => [
          schema,
          name,
          columns.map((column) => column.name).join(", "),
        ]),
      }),
  );
}

export function runDescribe(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [lake = "", table = ""] = args.positionals;
  const request: ApiRequest = { method: "GET", path: tablePath(lake, table) };
  return show<DescribedTable>(args, around, request, (described) => {
    const columns = ["column", "type", "null"];
    const rows = described.columns.flatMap((column) => columnRows(column, ""));
    return tableText(around, { columns, rows }) +
      `${countText(described.rows, "row")}, ${sizeText(described.file_bytes)} in files, ` +
      `epoch ${described.epoch}\n`;
  });
}

/** Parts of a nested column stand below it, under its name. */
function columnRows({ name, type, nullable, children = [] }: ColumnAnswer, parent: string) {
  const path = `${parent}${name}`;
  const rows: string[][] = [[path, type, nullable ? "yes" : "no"]];
  for (const child of children) rows.push(...columnRows(child, `${path}.`));
  return rows;
}

export function runSnapshots(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [lake = ""] = args.positionals;
  const request: ApiRequest = { method: "GET", path: `${lakePath(lake)}/snapshots` };
  return show<SnapshotsAnswer>(args, around, request, ({ snapshots, epoch }) =>
    tableText(around, {
      columns: ["snapshot", "at", "changes"],
      rows: snapshots.map(({ snapshot, at, changes }) => [snapshot, at, changes]),
    }) + `${countText(snapshots.length, "snapshot")}, epoch ${epoch}\n`);
}

export async function runCatalog(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [lake = ""] = args.positionals;
  const file = args.text("output");
  if (file === undefined) throw new UsageError("Say where to write it: -o FILE");
  const path = `${lakePath(lake)}/catalog`;
  const response = await nodesClientOf(args, around).send({ method: "GET", path });
  const size = await saveAnswer(response, file);
  const epoch = Number(response.headers.get("headgate-epoch"));
  // A copy: what DuckDB would write to it, the lake would never know of.
  const attach = `ATTACH 'ducklake:sqlite:${file.replaceAll("'", "''")}' ` +
    `AS "${lake}" (READ_ONLY);`;
  around.write(
    args.has("json")
      ? `${JSON.stringify({ file, size_bytes: size, epoch, attach })}\n`
      : `wrote ${file}: ${sizeText(size)}, epoch ${epoch}\n${attach}\n`,
  );
  return 0;
}

/** One request; its answer as JSON, or as text for people. */
export async function show<T>(
  args: ParsedArguments,
  around: Surroundings,
  request: ApiRequest,
  text: (answer: T) => string,
): Promise<number> {
  const answer = await nodesClientOf(args, around).json<T>(request);
  around.write(args.has("json") ? `${JSON.stringify(answer)}\n` : text(answer));
  return 0;
}

function tableText(around: Surroundings, result: ResultSet): string {
  return formatTable(result, around.columns());
}
