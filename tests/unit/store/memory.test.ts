import { expect, test } from "bun:test";
import { systemClock } from "../../../src/base/clock.ts";
import { MemoryStore } from "../../../src/store/memory.ts";
import { storeConformance } from "../../support/store-conformance.ts";

storeConformance("memory", {
  open: (shared) => Promise.resolve(shared ?? new MemoryStore(systemClock)),
});

test("the memory store keeps metadata for tests to see", async () => {
  const store = new MemoryStore(systemClock);
  await store.create("a", new Uint8Array(1), { metadata: { "litestream-timestamp": "now" } });
  expect(store.metadata("a")).toEqual({ "litestream-timestamp": "now" });
});
