/** What is counted of lakes. */
import { expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { Metrics } from "../../../src/base/metrics.ts";
import type { HeadgateNode } from "../../../src/http/node.ts";
import { measuredLakes } from "../../../src/server/measured-lakes.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

type LakesPort = HeadgateNode["lakes"];

test("requests are counted by outcome, rows and bytes by what was stored", async () => {
  const metrics = new Metrics();
  const inner = {
    list: () => [{ name: "web", data_path: "/" }],
    store: ({ body }: { body: Uint8Array }) =>
      body.length > 3
        ? Promise.reject(new Failure("too_large", "no"))
        : Promise.resolve({ rows: body.length, snapshot: 2, epoch: 3 }),
    flush: () => Promise.resolve({ rows: 7, files: 1, epoch: 4 }),
  };
  const lakes = measuredLakes(
    inner as unknown as LakesPort,
    metrics,
    new SimulatedClock(new Timeline()),
  );
  const request = (bytes: number) => ({ body: new Uint8Array(bytes) } as never);
  expect(await lakes.store(request(3))).toEqual({ rows: 3, snapshot: 2, epoch: 3 });
  await lakes.store(request(2));
  await expect(lakes.store(request(4))).rejects.toThrow("no");
  await lakes.flush("web", null);
  expect(lakes.list()).toEqual([{ name: "web", data_path: "/" }]);
  const text = metrics.text();
  for (
    const line of [
      'headgate_lake_requests_total{operation="rows",outcome="ok"} 2',
      'headgate_lake_requests_total{operation="rows",outcome="too_large"} 1',
      'headgate_lake_requests_total{operation="flush",outcome="ok"} 1',
      'headgate_lake_rows_total{operation="stored"} 5',
      'headgate_lake_rows_total{operation="flushed"} 7',
      "headgate_lake_bytes_total 5",
      'headgate_lake_seconds_count{operation="rows"} 3',
    ]
  ) expect(text).toContain(`${line}\n`);
});
