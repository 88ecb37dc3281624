/** `db create`, `list`, `drop`, `export` and `rollback`. */
import type { DatabaseInfo } from "../http/node.ts";
import type { Surroundings } from "../server/surroundings.ts";
import { type ParsedArguments, UsageError } from "./arguments.ts";
import { clientOf } from "./client.ts";
import { saveAnswer } from "./save.ts";
import { databasePath } from "./sql.ts";
import { formatTable } from "./table.ts";

export async function runCreate(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const pageSize = args.whole("page-size", 512);
  const info = await clientOf(args, around).json<DatabaseInfo>({
    method: "POST",
    path: "/v1/databases",
    body: { name, ...(pageSize === undefined ? {} : { page_size: pageSize }) },
  });
  around.write(args.has("json") ? `${JSON.stringify(info)}\n` : `created ${info.name}\n`);
  return 0;
}

export async function runList(args: ParsedArguments, around: Surroundings): Promise<number> {
  const { databases } = await clientOf(args, around).json<{ databases: DatabaseInfo[] }>({
    method: "GET",
    path: "/v1/databases",
  });
  if (args.has("json")) {
    around.write(`${JSON.stringify({ databases })}\n`);
    return 0;
  }
  const rows = databases.map((info) => [
    info.name,
    sizeText(info.size_bytes),
    info.page_size,
    info.tip,
    info.snapshot,
    info.owner ?? "nobody",
    info.created_at,
  ]);
  const columns = ["name", "size", "page size", "epoch", "snapshot", "owner", "created"];
  around.write(formatTable({ columns, rows }, around.columns()));
  return 0;
}

export async function runDrop(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const answer = await clientOf(args, around).json<{ epoch: number }>({
    method: "DELETE",
    path: databasePath(name),
  });
  around.write(
    args.has("json") ? `${JSON.stringify(answer)}\n` : `dropped ${name} in epoch ${answer.epoch}\n`,
  );
  return 0;
}

export async function runRollback(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const epoch = args.whole("epoch", 1);
  const time = args.text("time");
  if ((epoch === undefined) === (time === undefined)) {
    throw new UsageError("Say where to roll back to: either --epoch N or --time T");
  }
  const answer = await clientOf(args, around).json<{ epoch: number }>({
    method: "POST",
    path: `${databasePath(name)}/rollback`,
    body: epoch === undefined ? { time } : { epoch },
  });
  const to = epoch === undefined ? time : `epoch ${epoch}`;
  around.write(
    args.has("json")
      ? `${JSON.stringify(answer)}\n`
      : `${name} is what it was at ${to}, in the new epoch ${answer.epoch}\n`,
  );
  return 0;
}

export async function runExport(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [name = ""] = args.positionals;
  const output = args.text("output");
  const epoch = args.whole("epoch", 1);
  const time = args.text("time");
  if (output === undefined) throw new UsageError("Say where to write it: -o FILE");
  if (epoch !== undefined && time !== undefined) {
    throw new UsageError("Say --epoch or --time, not both");
  }
  const query = new URLSearchParams({
    ...(epoch === undefined ? {} : { epoch: String(epoch) }),
    ...(time === undefined ? {} : { time }),
  });
  const client = clientOf(args, around);
  const path = `${databasePath(name)}/export${query.size === 0 ? "" : `?${query}`}`;
  const response = await client.send({ method: "GET", path });
  const size = await saveAnswer(response, output);
  const answer = {
    file: output,
    size_bytes: size,
    epoch: Number(response.headers.get("headgate-epoch")),
  };
  around.write(
    args.has("json")
      ? `${JSON.stringify(answer)}\n`
      : `wrote ${output}: ${sizeText(size)}, epoch ${answer.epoch}\n`,
  );
  return 0;
}

export function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let size = bytes;
  while (size >= 1024 && at < units.length - 1) [size, at] = [size / 1024, at + 1];
  return `${at === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[at]}`;
}
