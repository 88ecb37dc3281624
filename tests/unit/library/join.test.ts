import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../../../src/config/schema.ts";
import { joinCluster } from "../../../src/library/join.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-join-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const configOf = (more: Partial<ConfigInput> = {}): ConfigInput => ({
  storage: { primary_backend: { type: "filesystem", path: join(directory, "store") } },
  cluster_mode: { node_id_path: join(directory, "node_id"), internal_api_port: 0 },
  listen: "127.0.0.1:0",
  memory_dir: join(directory, "memory"),
  ...more,
});

test("importing the library does nothing, and its names are what a program needs", () => {
  const library = JSON.stringify(join(import.meta.dir, "../../../src/mod.ts"));
  // A timer or a socket would keep it from ending.
  const program = `console.log(Object.keys(await import(${library})).sort().join())`;
  const options = { cwd: directory, timeout: 8_000 };
  const ran = Bun.spawnSync([process.execPath, "-e", program], options);
  expect([ran.exitCode, ran.stderr.toString()]).toEqual([0, ""]);
  expect(ran.stdout.toString()).toBe("Failure,isFailure,joinCluster\n");
  expect(readdirSync(directory)).toEqual([]);
});

test("a configuration is validated as config.yaml is, and nothing is made before", async () => {
  const wrong = { ...configOf(), zoen: "a", limits: { readers_max: 0 } } as ConfigInput;
  await expect(joinCluster(wrong)).rejects.toThrow(/zoen is not a key; allowed: .*zone/s);
  await expect(joinCluster(wrong)).rejects.toThrow(/joinCluster: limits.readers_max is 0/);
  const empty = {} as ConfigInput;
  await expect(joinCluster(empty)).rejects.toThrow("storage.primary_backend is missing");
  expect(existsSync(join(directory, "store"))).toBe(false);
});

test("routes cannot be mounted over the node's own", async () => {
  const app = { fetch: () => new Response("") };
  for (const prefix of ["/v1", "/health/x", "app", "/app/", "/a b", ""]) {
    await expect(joinCluster(configOf(), { app, prefix })).rejects.toThrow("Cannot mount");
  }
  expect(existsSync(join(directory, "memory"))).toBe(false);
});
