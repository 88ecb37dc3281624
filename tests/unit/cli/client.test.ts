import { afterAll, expect, test } from "bun:test";
import { ApiClient, type ApiRequest } from "../../../src/cli/client.ts";
import { SimulatedClock, Timeline } from "../../support/simulated-clock.ts";

// A node that takes connections and says nothing, as one that is stopped does.
const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
afterAll(() => silent.stop(true));

test.each(
  [
    ["GET", "/v1/cluster", "unavailable"],
    ["POST", "/v1/databases/app/query", "unavailable"],
    ["POST", "/v1/databases/app/execute", "uncertain"],
  ] as const,
)("%s %s at a node that does not answer is %s after a while", async (...row) => {
  const [method, path, kind] = row;
  const timeline = new Timeline();
  const clock = new SimulatedClock(timeline);
  const client = new ApiClient(`http://127.0.0.1:${silent.port}`, undefined, clock);
  const request: ApiRequest = { method, path, answerMs: 5_000 };
  const answer = client.json(request).then(() => "an answer", (error) => error);
  expect(await Promise.race([answer, Bun.sleep(20)])).toBeUndefined();
  while (timeline.step());
  expect(timeline.nowMs).toBe(5_000);
  expect(await answer).toMatchObject({
    kind,
    message: `http://127.0.0.1:${silent.port} did not answer within 5 s`,
  });
});
