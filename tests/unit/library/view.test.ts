import { beforeEach, expect, test } from "bun:test";
import type { ClusterStatus, NodeStatus } from "../../../src/http/node.ts";
import { type View, Views } from "../../../src/library/view.ts";

let nodes: NodeStatus[];
let leader: string | null;
let changed: () => void;
let stopped: boolean;
let end: PromiseWithResolvers<void>;
let views: Views;

function node(id: string, state = "active"): NodeStatus {
  return {
    id,
    address: `http://${id}`,
    role: "broker",
    roles: [],
    state,
    zone: "a",
    version: "1",
    head: 1,
    lag: 0,
    heads: {},
    running: 0,
    last_heard_ms: 0,
    why_not_leader: null,
  };
}

beforeEach(() => {
  nodes = [node("n1"), node("n2")];
  leader = "n1";
  stopped = false;
  end = Promise.withResolvers();
  const status = (): ClusterStatus => ({
    cluster: "c",
    leader: { id: "n1", address: "http://n1" },
    term: 3,
    epoch: 9,
    nodes,
    breaker: { state: "closed" },
    price_month_usd: 0,
  });
  const watch = (onChange: () => void) => {
    changed = onChange;
    return () => void (stopped = true);
  };
  views = new Views({ cluster: { status, watch }, leader: () => leader, end: end.promise });
});

test("a program is told at once, and then of what it can see of a change", () => {
  const seen: View[] = [];
  const stop = views.watch((view) => seen.push(view));
  expect(seen.map(({ members }) => members.length)).toEqual([2]);
  nodes = nodes.map((one) => ({ ...one, head: 2, last_heard_ms: 40 }));
  changed();
  expect(seen.length).toBe(1);
  nodes = [...nodes, node("n3")];
  changed();
  leader = null;
  changed();
  leader = "n2";
  changed();
  expect(seen.map((view) => view.leader)).toEqual([
    { id: "n1", address: "http://n1" },
    { id: "n1", address: "http://n1" },
    null,
    { id: "n2", address: "http://n2" },
  ]);
  expect(seen.at(-1)?.members.map(({ isLeader }) => isLeader)).toEqual([false, true, false]);
  stop();
  expect(stopped).toBe(true);
});

test("whoever iterates slowly gets the newest view, and the end ends it", async () => {
  const seen: number[] = [];
  const slow = (async () => {
    for await (const { members } of views.changes()) {
      seen.push(members.length);
      await Bun.sleep(5);
    }
  })();
  await Bun.sleep(1);
  for (let id = 3; id <= 8; id++) {
    nodes = [...nodes, node(`n${id}`)];
    changed();
  }
  await Bun.sleep(30);
  end.resolve();
  await slow;
  expect(seen).toEqual([2, 8]);
  expect(stopped).toBe(true);
});

test("whoever stops iterating watches no more", async () => {
  for await (const _ of views.changes()) break;
  expect(stopped).toBe(true);
});

test("a program that throws while it is told disturbs nobody but itself", () => {
  const view = JSON.stringify(import.meta.dir + "/../../../src/library/view.ts");
  const program = `import { Views } from ${view};
    const node = { id: "n", roles: [], heads: {} };
    const status = () => ({ leader: null, term: 1, nodes: [node] });
    const end = new Promise(() => {});
    const views = new Views({ cluster: { status, watch: () => () => {} }, leader: () => null, end });
    process.on("uncaughtException", ({ message }) => console.log("heard:", message));
    views.watch(() => { throw new Error("the program broke"); });
    console.log("told");`;
  const ran = Bun.spawnSync([process.execPath, "-e", program]);
  expect(ran.stdout.toString()).toBe("told\nheard: the program broke\n");
});
