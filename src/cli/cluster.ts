/** `cluster status`, `cluster members` and `cluster leader stepdown`. */
import { ANSWER_ORDER_MS } from "../base/limits.ts";
import type { Surroundings } from "../server/surroundings.ts";
import type { ParsedArguments } from "./arguments.ts";
import { clusterClientOf, nodeNamed } from "./cluster-client.ts";
import { statusText } from "./status-text.ts";
import { formatTable } from "./table.ts";

export async function runStatus(args: ParsedArguments, around: Surroundings): Promise<number> {
  const { status } = await clusterClientOf(args, around).look();
  around.write(
    args.has("json") ? `${JSON.stringify(status)}\n` : statusText(status, around.columns()),
  );
  return 0;
}

export async function runMembers(args: ParsedArguments, around: Surroundings): Promise<number> {
  const { status } = await clusterClientOf(args, around).look();
  const members = status.nodes.map(({ id, address, role, roles, zone, state, version }) => ({
    id,
    address,
    role,
    roles,
    zone,
    state,
    version,
  }));
  if (args.has("json")) {
    around.write(`${JSON.stringify({ members })}\n`);
    return 0;
  }
  const columns = ["node", "address", "role", "roles", "zone", "state", "version"];
  const rows = members.map((one) => [
    one.id,
    one.address,
    one.role,
    one.roles.join(","),
    one.zone,
    one.state,
    one.version,
  ]);
  around.write(formatTable({ columns, rows }, around.columns()));
  return 0;
}

export async function runStepDown(args: ParsedArguments, around: Surroundings): Promise<number> {
  const cluster = clusterClientOf(args, around);
  const { status, client } = await cluster.look();
  const preferred = args.text("preferred");
  const answer = await client.json<{ from: string; to: string; duration_ms: number }>({
    method: "POST",
    path: "/v1/cluster/leader/stepdown",
    body: preferred === undefined ? {} : { preferred: nodeNamed(preferred, status.nodes) },
    answerMs: ANSWER_ORDER_MS,
  });
  const { from, to, duration_ms } = answer;
  around.write(
    args.has("json")
      ? `${JSON.stringify(answer)}\n`
      : `${to} leads now; ${from} stepped down, in ${duration_ms} ms\n`,
  );
  return 0;
}
