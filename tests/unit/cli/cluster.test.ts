import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { Failure } from "../../../src/base/failure.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { nodeNamed } from "../../../src/cli/cluster-client.ts";
import { eventData } from "../../../src/cli/event-stream.ts";
import { runCommand } from "../../../src/cli/main.ts";
import { statusLine, statusText } from "../../../src/cli/status-text.ts";
import { createApp } from "../../../src/http/app.ts";
import type { ClusterStatus, NodeStatus } from "../../../src/http/node.ts";
import { listen, type Listener } from "../../../src/server/listen.ts";
import { MemoryNode } from "../../support/memory-node.ts";

// What goes over the wire is the subject, so there are servers: a leader and a broker.
let nodes: MemoryNode[];
let listeners: Listener[];
beforeEach(() => {
  nodes = [new MemoryNode(), new MemoryNode()];
  listeners = nodes.map((node) => {
    const app = createApp(node, { clock: systemClock, log: silentLog });
    return listen({
      host: "127.0.0.1",
      port: 0,
      bodyBytesMax: 1_000_000,
      clock: systemClock,
      fetch: (request) => app.fetch(request),
    });
  });
  say({});
});
afterEach(async () => {
  for (const node of nodes) node.remove();
  for (const listener of listeners) await listener.stop(0);
});

const url = (at: number) => listeners[at]?.url ?? "";

/** Lets both nodes say that of the cluster; the first one leads. */
function say(status: Partial<ClusterStatus>): void {
  const all = [nodeStatus("node-4f1d", url(0)), nodeStatus("node-9c71", url(1))];
  for (const node of nodes) {
    node.said = { leader: { id: "node-4f1d", address: url(0) }, nodes: all, ...status };
  }
}

function nodeStatus(id: string, address: string, more: Partial<NodeStatus> = {}): NodeStatus {
  return {
    id,
    address,
    role: id === "node-4f1d" ? "leader" : "broker",
    roles: [],
    state: "active",
    zone: "a",
    version: "0.1.0",
    head: 5,
    lag: 0,
    heads: { system: 5 },
    running: 0,
    last_heard_ms: 0,
    why_not_leader: id === "node-4f1d" ? null : "another node leads",
    ...more,
  };
}

async function run(args: readonly string[], at = 0) {
  let out = "";
  let err = "";
  const code = await runCommand(args, {
    environment: { HEADGATE_URL: url(at) },
    clock: { ...systemClock, sleep: (ms) => systemClock.sleep(Math.min(ms, 5)) },
    random: seededRandom(1),
    write: (text) => void (out += text),
    writeBytes: (bytes) => void (out += Buffer.from(bytes)),
    writeError: (text) => void (err += text),
    readInput: () => "",
    input: () => new Blob([""]).stream(),
    inputIsTerminal: false,
    outputIsTerminal: false,
    errorIsTerminal: false,
    columns: () => null,
    command: ["headgate"],
  });
  return { code, out, err };
}

const calls = (at: number) => nodes[at]?.seen.map(({ call }) => call);

describe("cluster status", () => {
  test("is the leader's word, at whichever node it is asked", async () => {
    nodes[1]!.said = { ...nodes[1]!.said, epoch: 3 };
    const { code, out } = await run(["cluster", "status"], 1);
    expect(code).toBe(0);
    expect(out).toContain(`leader   node-4f1d at ${url(0)}\nterm     1\nepoch    5 of system\n`);
    expect(JSON.parse((await run(["cluster", "status", "--json"], 1)).out).epoch).toBe(5);
  });

  test("is another node's word where the leader is out of reach", async () => {
    say({ leader: { id: "node-0", address: "http://127.0.0.1:1" } });
    expect((await run(["cluster", "status"], 1)).out).toContain("leader   node-0 at");
    say({ leader: null });
    expect((await run(["cluster", "status"], 1)).out).toContain("leader   nobody");
  });

  test("shows why admin changes are refused, and who was not heard", () => {
    const text = statusText({
      cluster: "c",
      leader: null,
      term: 2,
      epoch: 7,
      nodes: [nodeStatus("node-9c71", "", { state: "suspect", last_heard_ms: 6_200 })],
      breaker: { state: "open", reason: "election" },
      price_month_usd: 0.5,
    }, null);
    expect(text).toContain("breaker  open (election)\n");
    expect(text).toContain("│ suspect │");
    expect(text).toContain("│ 6 s ago │");
  });

  test("fits a terminal of 80 columns as a table", () => {
    const text = statusText(nodes[0]!.status(), 80);
    expect(text).toMatch(/^ node .* │ role .* │ why not /m);
    for (const line of text.split("\n")) {
      if (line.includes("│")) expect(line.length <= 80).toBe(true);
    }
  });

  test("of nobody is 3", async () => {
    const { code, err } = await run(["cluster", "status", "--url", "http://127.0.0.1:1"]);
    expect({ code, err: err.slice(0, 12) }).toEqual({ code: 3, err: "unavailable:" });
  });

  test("that nobody may ask without a token is 1, and no other node is asked", async () => {
    nodes[1]!.failure = new Failure("denied", "no");
    expect((await run(["cluster", "status"], 1)).code).toBe(1);
    expect(calls(0)).toEqual([]);
  });
});

describe("a node's name", () => {
  const all = [nodeStatus("node-4f1d", ""), nodeStatus("node-4f2e", ""), nodeStatus("left-1", "")];

  test("may be the beginning of its id, with or without what all begin with", () => {
    for (const name of ["node-4f1d", "node-4f1", "4f1d", "4f1"]) {
      expect(nodeNamed(name, all)).toBe("node-4f1d");
    }
    expect(nodeNamed("l", all)).toBe("left-1");
  });

  test("that fits more than one is wrong usage, unless it is one", () => {
    expect(() => nodeNamed("4f", all)).toThrow("the beginning of more: node-4f1d, node-4f2e");
    expect(nodeNamed("left-1", [...all, nodeStatus("left-12", "")])).toBe("left-1");
  });

  test("that fits none is left to the leader, who may know it", () => {
    expect(nodeNamed("node-77", all)).toBe("node-77");
  });
});

describe("cluster broker update", () => {
  test("goes to the leader, by the beginning of an id", async () => {
    const args = ["cluster", "broker", "update", "9c7", "--state", "draining"];
    const { code, out } = await run(args, 1);
    expect({ code, out }).toEqual({
      code: 0,
      out: "node-9c71 is told to be draining, in epoch 6\n",
    });
    expect(nodes[0]?.seen.at(-1)).toEqual({
      call: "setBroker",
      database: "node-9c71",
      argument: "draining",
    });
  });

  test("with --wait shows what still runs, and is done when nothing does", async () => {
    const states = [
      { state: "active", running: 3 },
      { state: "draining", running: 3 },
      { state: "draining", running: 1 },
      { state: "draining", running: 0 },
    ];
    seeInTurn(states.map((more) => [nodeStatus("node-9c71", url(1), more)]));
    const args = ["cluster", "broker", "update", "9c7", "--state", "draining", "--wait"];
    expect(await run(args)).toEqual({
      code: 0,
      out: "node-9c71 is drained, in epoch 6\n",
      err: "waiting: node-9c71 is active, 3 running\nwaiting: node-9c71 is draining, 3 running\n" +
        "waiting: node-9c71 is draining, 1 running\n",
    });
  });

  test("to shut down or to retire is done when the node is in no roster", async () => {
    for (const state of ["shutdown", "retiring"]) {
      seeInTurn([[nodeStatus("node-9c71", url(1), { state })], []]);
      const args = ["cluster", "broker", "update", "node-9c71", "--state", state, "--wait"];
      expect((await run(args)).code).toBe(0);
    }
  });

  test("to shut down a node that has retired cannot be waited for, and says so", async () => {
    say({ nodes: [nodeStatus("node-4f1d", url(0))] });
    const args = ["cluster", "broker", "update", "node-9c71", "--state", "shutdown", "--wait"];
    expect(await run(args)).toEqual({
      code: 0,
      out: "node-9c71 is told to be shutdown, in epoch 6\n",
      err: "node-9c71 is in no roster: nobody sees when it ends\n",
    });
  });

  test("to shut down is done too when somebody has started the node again", async () => {
    const at = (state: string) => [nodeStatus("node-9c71", url(1), { state })];
    seeInTurn([at("draining"), at("shutdown"), at("draining")]);
    const args = ["cluster", "broker", "update", "9c71", "--state", "shutdown", "--wait"];
    const { code, err } = await run(args);
    expect({ code, lines: err.split("\n").length - 1 }).toEqual({ code: 0, lines: 2 });
  });

  test("to shut down the only node is done when it answers no more", async () => {
    const only = nodeStatus("node-4f1d", url(0), { state: "shutdown" });
    say({ nodes: [only] });
    const running = run(["cluster", "broker", "update", "4f1d", "--state", "shutdown", "--wait"]);
    while (!nodes[0]!.seen.some(({ call }) => call === "setBroker")) await Bun.sleep(1);
    await listeners[0]!.stop(0);
    expect((await running).code).toBe(0);
  });

  test("whose time is over is 4: the order stands", async () => {
    const args = ["cluster", "broker", "update", "9c7", "--state", "draining", "--wait"];
    const { code, err } = await run([...args, "--timeout", "20"]);
    expect(code).toBe(4);
    expect(err).toContain("node-9c71 is told to be draining, but was not after 20 ms: ");
  });

  test("without a state, or with another, is 2", async () => {
    const args = ["cluster", "broker", "update", "9c7"];
    expect((await run(args)).code).toBe(2);
    expect((await run([...args, "--state", "gone"])).err).toContain('--state is "gone"; allowed');
    expect((await run([...args, "--state", "active", "--timeout", "5"])).code).toBe(2);
    expect((await run(["cluster", "status", "--store", "file:///x", "--url", url(0)])).code).toBe(
      2,
    );
    expect(calls(0)).toEqual([]);
  });
});

test("cluster leader stepdown names who leads, and takes the beginning of an id", async () => {
  const { code, out } = await run(["cluster", "leader", "stepdown", "--preferred", "9c"], 1);
  expect({ code, out }).toEqual({
    code: 0,
    out: "node-9c71 leads now; node-1 stepped down, in 12 ms\n",
  });
  nodes[0]!.failure = null;
  say({});
  const json = await run(["cluster", "leader", "stepdown", "--json"]);
  expect(JSON.parse(json.out)).toEqual({ from: "node-1", to: "node-2", duration_ms: 12 });
});

test("cluster members lists addresses, zones and roles", async () => {
  const { out } = await run(["cluster", "members"]);
  expect(out).toContain(`node-9c71 │ ${url(1)} │ broker`);
  const { members } = JSON.parse((await run(["cluster", "members", "--json"])).out);
  expect(members[0]).toEqual({
    id: "node-4f1d",
    address: url(0),
    role: "leader",
    roles: [],
    zone: "a",
    state: "active",
    version: "0.1.0",
  });
});

describe("events", () => {
  test("are read whole, whatever the pieces that they come in", async () => {
    const text = 'event: status\ndata: {"a":"ä"}\n\n: alive\n\nevent: status\ndata: {}\n\n';
    const bytes = new TextEncoder().encode(text);
    for (const size of [1, 3, 7, bytes.length]) {
      let at = 0;
      let inputs = 0;
      const reader = {
        read: () => {
          const value = bytes.subarray(at, at += size);
          return Promise.resolve({ done: value.length === 0, value });
        },
      };
      const found: string[] = [];
      for await (const data of eventData(reader, () => void inputs++)) found.push(data);
      expect(found).toEqual(['{"a":"ä"}', "{}"]);
      expect(inputs).toBe(Math.ceil(bytes.length / size));
    }
  });

  test("make a line only of what is news", () => {
    const base = nodes[0]!.status();
    const line = statusLine(base);
    expect(line).toBe("term 1: node-4f1d leads; node-4f1d active, node-9c71 active");
    expect(statusLine({ ...base, epoch: 99 })).toBe(line);
    expect(statusLine({ ...base, leader: null, breaker: { state: "open", reason: "store" } }))
      .toBe("term 1: nobody leads; node-4f1d active, node-9c71 active; breaker open (store)");
  });
});

/** The first answer is what a command looks at before it asks; the last one stays. */
function seeInTurn(rosters: readonly (readonly NodeStatus[])[]): void {
  const all = [nodeStatus("node-4f1d", url(0)), nodeStatus("node-9c71", url(1))];
  const turns = [all, ...rosters];
  const leader = nodes[0]!;
  const status = leader.status.bind(leader);
  leader.status = () => ({
    ...status(),
    nodes: (turns.length > 1 ? turns.shift() : turns[0]) ?? [],
  });
}
