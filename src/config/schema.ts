/**
 * Every key of the configuration, its type, its range and its default. The same names are used in
 * `config.yaml`, in the environment (`HEADGATE_STORAGE__PRIMARY_BACKEND__TYPE`) and by `--set`.
 */
import * as z from "zod";
import * as limits from "../base/limits.ts";
import { portOf } from "./address.ts";
import { durationMs } from "./duration.ts";

const HOST_PORT = /^(\[[0-9a-fA-F:.]+\]|[^:\s/]+):\d{1,5}$/;
const YEAR_MS = 366 * 24 * 3600 * 1000;

// Each message says what is allowed; `problems.ts` puts the place and what was found before it.
const flag = () => z.boolean({ error: "true or false" });
const text = () => {
  const error = "a text that is not empty";
  return z.string({ error }).min(1, { error });
};
const choice = <const T extends readonly string[]>(values: T) =>
  z.enum(values, { error: values.join(", ") });
const whole = (least: number, most: number) => {
  const error = `a whole number from ${least} to ${most}`;
  return z.number({ error }).int({ error }).min(least, { error }).max(most, { error });
};
const seconds = () => whole(1, 86_400);
const milliseconds = (least: number) => whole(least, 24 * 3600 * 1000);
const count = (most: number) => whole(1, most);
const bytes = (most: number) => whole(1024, most);
const httpUrl = () =>
  z.url({ error: 'a URL, as in "https://s3.example.com"', protocol: /^https?$/ });

/** "90s", "30m", "24h", "7d" → ms. */
const duration = () => {
  const error = 'a duration like "90s", "30m", "24h", "7d"';
  return z.string({ error }).regex(/^\d{1,9}(ms|s|m|h|d)$/, { error }).transform(durationMs)
    .refine((ms) => ms <= YEAR_MS, { error: 'at most "366d"' });
};

const hostPort = () => {
  const error = 'host:port, as in "127.0.0.1:8080" or "[::1]:8080"';
  return z.string({ error }).regex(HOST_PORT, { error })
    .refine((value) => portOf(value) <= 65_535, { error: "a port from 0 to 65535" });
};

const clusterMode = z.strictObject({
  enabled: flag().default(true),
  /** File that holds this node's id alone; made at the first start. */
  node_id_path: text().default("./node_id"),
  /** Host under which clients and nodes reach this one; the host of `listen` when absent. */
  advertised_host: text().optional(),
  internal_api_port: whole(0, 65_535).default(8443),
  leader_heartbeat_interval_secs: seconds().default(30),
  leader_stale_threshold_secs: seconds().default(120),
  broker_heartbeat_interval_secs: seconds().default(600),
  broker_stale_threshold_secs: seconds().default(1800),
});

const backend = z.strictObject({
  type: choice(["s3", "filesystem"]),
  bucket: text().optional(),
  prefix: z.string({ error: "a text" }).optional(),
  region: text().optional(),
  endpoint: httpUrl().optional(),
  access_key: text().optional(),
  secret_key: text().optional(),
  path_style: flag().optional(),
  path: text().optional(),
}).superRefine((value, context) => {
  const problem = (key: string, error: string) =>
    context.addIssue({
      code: "custom",
      path: [key],
      message: error,
      input: Reflect.get(value, key),
    });
  if (value.type === "s3" && value.bucket === undefined) problem("bucket", "needed with type s3");
  if (value.type === "filesystem" && value.path === undefined) {
    problem("path", "needed with type filesystem");
  }
  const foreign = value.type === "s3"
    ? ["path"] as const
    : ["bucket", "region", "endpoint", "access_key", "secret_key", "path_style"] as const;
  for (const key of foreign) {
    if (value[key] !== undefined) problem(key, `not used with type ${value.type}; remove it`);
  }
  if ((value.access_key === undefined) !== (value.secret_key === undefined)) {
    const missing = value.access_key === undefined ? "access_key" : "secret_key";
    problem(missing, "access_key and secret_key go together");
  }
});

const storage = z.strictObject({
  primary_backend: backend,
  /** Added to every request to the store; for benchmarks only. */
  simulate_latency_ms: whole(0, 60_000).default(0),
});

const limitsSchema = z.strictObject({
  epoch_bytes_max: bytes(limits.OBJECT_BYTES_MAX / 4).default(limits.EPOCH_BYTES_MAX),
  body_bytes_max: bytes(512 * 1024 * 1024).default(limits.BODY_BYTES_MAX),
  result_bytes_max: bytes(1024 * 1024 * 1024).default(limits.RESULT_BYTES_MAX),
  read_timeout_ms: whole(1, limits.TIMEOUT_MS_MAX).default(limits.READ_TIMEOUT_MS),
  write_timeout_ms: whole(1, limits.TIMEOUT_MS_MAX).default(limits.WRITE_TIMEOUT_MS),
  readers_max: count(256).default(limits.READERS_MAX),
  reads_waiting_max: count(10_000_000).default(limits.READS_WAITING_MAX),
  child_bytes_max: bytes(1024 ** 4).default(limits.CHILD_BYTES_MAX),
  child_idle_ms: milliseconds(0).default(limits.CHILD_IDLE_MS),
  replication_conflict_ms: milliseconds(1).default(limits.REPLICATION_CONFLICT_MS),
  snapshot_chain_bytes_min: bytes(1024 ** 4).default(limits.SNAPSHOT_CHAIN_BYTES_MIN),
});

const retention = z.strictObject({
  /** Every epoch can be restored for this long. */
  every_epoch: duration().default(durationMs("24h")),
  /** Every 30 s can be restored for this long. */
  window: duration().refine((ms) => ms >= limits.RETENTION_MS_MIN, { error: 'at least "30s"' })
    .default(durationMs("7d")),
}).refine((value) => value.window >= value.every_epoch, {
  path: ["window"],
  error: "at least as long as retention.every_epoch",
}).transform((value) => ({ every_epoch_ms: value.every_epoch, window_ms: value.window }));

const log = z.strictObject({
  level: choice(["debug", "info", "warn", "error"]).default("info"),
  format: choice(["text", "json"]).default("text"),
});

export const configSchema = z.strictObject({
  cluster_mode: clusterMode.prefault({}),
  storage,
  listen: hostPort().default("127.0.0.1:8080"),
  roles: z.array(text(), { error: "a list of texts" }).max(32, { error: "at most 32 roles" })
    .default([]),
  zone: text().default("default"),
  /** Whether this node may lead. */
  eligible: flag().default(true),
  /** Folder for images and workspaces; /dev/shm where it has room when absent. */
  memory_dir: text().optional(),
  /** `required` is true unless `listen` is a loopback address. */
  auth: z.strictObject({ required: flag().optional() }).prefault({}),
  limits: limitsSchema.prefault({}),
  retention: retention.prefault({}),
  /** Waiting time that gathers writes into fewer PUTs. */
  commit_interval_ms: whole(0, 60_000).default(0),
  log: log.prefault({}),
});

export type ConfigOutput = z.output<typeof configSchema>;

/** The configuration as it is written down. */
export type ConfigInput = z.input<typeof configSchema>;

/** Keys whose values are never shown. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(["access_key", "secret_key"]);
