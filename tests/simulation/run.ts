/**
 * Runs seeds one after another and prints one line of JSON for each: `bun tests/simulation/run.ts
 * FROM COUNT [replicas|cluster]`. In a process of its own, since a crashed node's files are closed only when its process
 * ends. With HEADGATE_VARIANT it first breaks the product as that variant says.
 */
import { plugin } from "bun";
import { VARIANTS } from "./variants.ts";

const [from = "1", count = "1", world = "replicas"] = process.argv.slice(2);
const name = process.env["HEADGATE_VARIANT"];
const variant = VARIANTS.find((candidate) => candidate.name === name);
if (name !== undefined && !variant) throw new Error(`there is no variant ${JSON.stringify(name)}`);
if (variant) plugin(variant.plugin());

const { World } = await import("../support/world.ts");
const { ClusterWorld } = await import("../support/cluster-world.ts");
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const isLoud = process.env["LOUD"] !== undefined;
  const report = world === "cluster"
    ? new ClusterWorld({ seed, isLoud }).run()
    : new World({ seed, isLoud }).run();
  // What nobody has handled shows now, with the seed that it belongs to.
  await new Promise((resolve) => setImmediate(resolve));
  console.log(JSON.stringify(report));
}
