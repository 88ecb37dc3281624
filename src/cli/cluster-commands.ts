/** The commands for the cluster as a whole. */
import type { OptionSpec } from "./arguments.ts";
import { type Command, URL_OPTIONS } from "./command.ts";
import { CONFIG_OPTIONS } from "./settings.ts";

/** Any node's address will do, or access to the bucket alone. */
const WHERE: readonly OptionSpec[] = [
  ...CONFIG_OPTIONS.filter(({ name }) => ["config", "store", "set"].includes(name)),
  ...URL_OPTIONS,
];
const ANYWHERE =
  "Any node's address will do; with --store the cluster is found through its bucket,\n" +
  "and whoever may read that needs no token.";

export const CLUSTER_COMMANDS: readonly Command[] = [
  {
    name: "cluster status",
    operands: "",
    summary: "who leads, and how every node is",
    about:
      `Shows the leader, the circuit breaker and every node, as the leader sees them.\n${ANYWHERE}`,
    example: "headgate cluster status --url http://node1.example.com:8080",
    options: WHERE,
    count: [0, 0],
    run: async (args, around) => (await import("./cluster.ts")).runStatus(args, around),
  },
  {
    name: "cluster members",
    operands: "",
    summary: "list the nodes",
    about: `Lists the nodes with their addresses, zones and roles.\n${ANYWHERE}`,
    example: "headgate cluster members --store s3://my-bucket/headgate",
    options: WHERE,
    count: [0, 0],
    run: async (args, around) => (await import("./cluster.ts")).runMembers(args, around),
  },
  {
    name: "cluster watch",
    operands: "",
    summary: "see each change of members, states and leader",
    about: "Shows the status anew at each change, a line each where the output is no terminal,\n" +
      `and goes on at another node when one goes away. Ctrl-c ends it.\n${ANYWHERE}`,
    example: "headgate cluster watch --url http://node1.example.com:8080",
    options: WHERE,
    count: [0, 0],
    run: async (args, around) => (await import("./watch.ts")).runWatch(args, around),
  },
  {
    name: "cluster broker update",
    operands: "NODE --state active|draining|retiring|shutdown",
    summary: "drain a node, or take it back",
    about: "Sets what a node is to do, by its id or the beginning of it. draining: take no new\n" +
      "work, finish what runs; a leader steps down first. active: take work again. retiring:\n" +
      "drain, then leave the roster. shutdown: drain, then end the process with exit code 0.\n" +
      `It holds through restarts and changes of leaders.\n${ANYWHERE}`,
    example: "headgate cluster broker update node-4f1d --state draining --wait",
    options: [
      { name: "state", value: "STATE", help: "active, draining, retiring or shutdown" },
      { name: "wait", help: "show what still runs until it is done" },
      { name: "timeout", value: "MS", help: "with --wait: give up after so many ms; 120000" },
      ...WHERE,
    ],
    count: [1, 1],
    run: async (args, around) => (await import("./broker.ts")).runBrokerUpdate(args, around),
  },
  {
    name: "cluster leader stepdown",
    operands: "",
    summary: "have another node lead",
    about: "Has the leader hand over; done when the next one leads. It goes on as a broker.\n" +
      ANYWHERE,
    example: "headgate cluster leader stepdown --preferred node-4f1d",
    options: [
      {
        name: "preferred",
        value: "NODE",
        help: "who is to lead, by its id or the beginning of it",
      },
      ...WHERE,
    ],
    count: [0, 0],
    run: async (args, around) => (await import("./cluster.ts")).runStepDown(args, around),
  },
];
