/** A child that does as it is told, for tests; with "parent", a process that has such a child. */
import { Database } from "bun:sqlite";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { enterChild } from "../../../src/database/child-main.ts";
import { createChildren } from "../../../src/database/child-process.ts";

const held: Uint8Array[] = [];

if (Bun.argv[2] === "__child") {
  const port = enterChild(Bun.argv[4]);
  // Late on purpose: what arrives earlier must not be lost.
  await Bun.sleep(20);
  port.onMessage((message) => {
    const order = message as { readonly do: string; readonly bytes?: number };
    if (order.do === "echo") port.send({ ...order, role: Bun.argv[3], environment: process.env });
    if (order.do === "many") { for (let i = 0; i < 1_000; i++) port.send(i); }
    if (order.do === "exit") process.exit(0);
    if (order.do === "say") console.error("a line\nanother");
    if (order.do === "take") {
      held.push(new Uint8Array(order.bytes ?? 0).fill(1));
      port.send("taken");
    }
    if (order.do === "hang") {
      port.send("hanging");
      new Database(":memory:").query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
      ).get();
    }
  });
} else if (Bun.argv[2] === "parent") {
  const children = createChildren({
    command: [process.execPath, import.meta.path],
    clock: systemClock,
    log: silentLog,
    directory: Bun.argv[3] ?? "",
  });
  const child = children.start("reader", {
    onMessage: () => console.log(child.pid),
    onExit: () => {},
  });
  child.send({ do: Bun.argv[4] });
}
