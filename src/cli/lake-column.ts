/** `lake column add`, `rename` and `drop`. */
import type { Surroundings } from "../server/surroundings.ts";
import type { ParsedArguments } from "./arguments.ts";
import { tablePath } from "./lake.ts";
import { nodesClientOf } from "./nodes-client.ts";

export function runAddColumn(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [, , name = "", type = ""] = args.positionals;
  return change(args, around, { add: { name, type } }, `added ${name}`);
}

export function runRenameColumn(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [, , column = "", to = ""] = args.positionals;
  return change(args, around, { rename: { column, to } }, `renamed ${column} to ${to}`);
}

export function runDropColumn(args: ParsedArguments, around: Surroundings): Promise<number> {
  const [, , column = ""] = args.positionals;
  return change(args, around, { drop: { column } }, `dropped ${column}`);
}

async function change(
  args: ParsedArguments,
  around: Surroundings,
  body: object,
  done: string,
): Promise<number> {
  const [lake = "", table = ""] = args.positionals;
  const path = tablePath(lake, table);
  const answer = await nodesClientOf(args, around)
    .json<{ snapshot: number; epoch: number }>({ method: "PATCH", path, body });
  const { snapshot, epoch } = answer;
  around.write(
    args.has("json")
      ? `${JSON.stringify(answer)}\n`
      : `${done}, snapshot ${snapshot}, epoch ${epoch}\n`,
  );
  return 0;
}
