/** `lake ingest`: files of any size → rows of a table, each once. */
import { CLI_STORE_MS } from "../base/lake-limits.ts";
import type { RowsAck } from "../lake/rows-request.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { clientsOf } from "./client.ts";
import { IngestProgress } from "./ingest-progress.ts";
import { type Source, sourceOf } from "./ingest-source.ts";
import { type Ingested, Ingestion } from "./ingestion.ts";
import { tablePath } from "./lake.ts";
import { RowsSender } from "./rows-sender.ts";
import { countText } from "./sql.ts";

export async function runIngest(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [lake = "", table = "", ...names] = args.positionals;
  const format = args.text("format");
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new UsageError(`${JSON.stringify(twice)} is given twice`);
  const ack = ackOf(args);
  const timeoutMs = args.whole("timeout", 1) ?? CLI_STORE_MS;
  const clients = clientsOf(args, around);
  const sources = names.map((name) => sourceOf(name, format, around));
  const path = `${tablePath(lake, table)}/rows`;
  const sender = new RowsSender(clients, around, { path, ack, timeoutMs });
  const progress = new IngestProgress(around, totalOf(sources));
  const ingestion = new Ingestion(sender, progress, {
    key: { lake, table, batch: args.text("batch") ?? null },
    create: args.has("create"),
  });
  let ingested: Ingested;
  try {
    ingested = await ingestion.run(sources);
  } finally {
    progress.end();
  }
  around.write(args.has("json") ? jsonText(ingested, progress) : text(ingested, progress));
  return 0;
}

function ackOf(args: ParsedArguments): RowsAck {
  const ack = args.text("ack") ?? "visible";
  if (ack === "visible" || ack === "stored") return ack;
  throw new UsageError(`--ack is ${JSON.stringify(ack)}; allowed: visible, stored`);
}

function totalOf(sources: readonly Source[]): number | null {
  return sources.reduce<number | null>(
    (sum, { bytes }) => sum === null || bytes === null ? null : sum + bytes,
    0,
  );
}

function text(ingested: Ingested, { seconds, rowsPerSecond }: IngestProgress): string {
  const { rows, unseen, epoch } = ingested;
  const end = unseen > 0 ? "stored, visible soon" : `epoch ${epoch}`;
  return `${countText(rows, "row")} in ${seconds.toFixed(1)} s, ${rowsPerSecond} rows/s, ${end}\n`;
}

/** Where rows are still to become visible, there is no snapshot and no epoch that has them. */
function jsonText(ingested: Ingested, { seconds, rowsPerSecond, bytes }: IngestProgress): string {
  const { rows, requests, unseen, snapshot, epoch } = ingested;
  const moment = unseen > 0 ? { visible_soon: unseen } : { snapshot, epoch };
  const figures = { seconds: Number(seconds.toFixed(3)), rows_per_second: rowsPerSecond, bytes };
  return `${JSON.stringify({ rows, requests, ...moment, ...figures })}\n`;
}
