import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, type ConfigSources, loadConfig } from "../../../src/config/config.ts";
import { durationMs, durationText } from "../../../src/config/duration.ts";
import { configText } from "../../../src/config/print.ts";

const STORE = "storage: { primary_backend: { type: filesystem, path: /data } }\n";

function load(text: string | null, rest: Partial<ConfigSources> = {}): Config {
  const file = text === null ? {} : { file: { name: "config.yaml", text } };
  return loadConfig({ environment: {}, flags: [], ...file, ...rest });
}

function problem(text: string | null, rest: Partial<ConfigSources> = {}): string {
  try {
    load(text, rest);
  } catch (error) {
    return (error as Error).message;
  }
  return "no problem";
}

const BACKEND_KEYS =
  "type, bucket, prefix, region, endpoint, access_key, secret_key, path_style, path";

describe("a config", () => {
  test("to begin with is in deploy/, and is one", () => {
    const path = join(import.meta.dir, "../../../deploy/config.example.yaml");
    const config = load(readFileSync(path, "utf8"));
    expect(config.cluster_mode.node_id_path).toBe("/var/lib/headgate/node_id");
    expect(config.memory_dir).toBe("/run/headgate");
  });

  test("has a default for everything but the store", () => {
    const config = load(STORE);
    expect(config.listen).toBe("127.0.0.1:8080");
    expect(config.cluster_mode.internal_api_port).toBe(8443);
    expect(config.retention).toEqual({ every_epoch_ms: 86_400_000, window_ms: 604_800_000 });
    expect(config.storage).toEqual({
      primary_backend: { type: "filesystem", path: "/data" },
      simulate_latency_ms: 0,
    });
  });

  test("is frozen at every depth", () => {
    const config = load(STORE);
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.storage.primary_backend)).toBe(true);
  });

  test("takes the file, then the environment, then flags", () => {
    const text = `${STORE}listen: 127.0.0.1:1\nzone: file\ncommit_interval_ms: 5\n`;
    const config = load(text, {
      environment: { HEADGATE_LISTEN: "127.0.0.1:2", HEADGATE_ZONE: "environment", HOME: "/" },
      flags: [{ origin: "--listen", path: ["listen"], value: "127.0.0.1:3" }],
    });
    expect([config.listen, config.zone, config.commit_interval_ms])
      .toEqual(["127.0.0.1:3", "environment", 5]);
  });

  test("reads variables as the type of their key", () => {
    const config = load(null, {
      environment: {
        HEADGATE_STORAGE__PRIMARY_BACKEND__TYPE: "s3",
        HEADGATE_STORAGE__PRIMARY_BACKEND__BUCKET: "12345",
        HEADGATE_STORAGE__PRIMARY_BACKEND__PATH_STYLE: "true",
        HEADGATE_STORAGE__SIMULATE_LATENCY_MS: "30",
        HEADGATE_ROLES: "sql, ingest",
        HEADGATE_URL: "http://127.0.0.1:8080",
        HEADGATE_TEST_S3: "x",
      },
    });
    expect(config.storage).toEqual({
      primary_backend: { type: "s3", bucket: "12345", path_style: true },
      simulate_latency_ms: 30,
    });
    expect(config.roles).toEqual(["sql", "ingest"]);
  });

  test("takes a store given as a whole in place of the file's, keeping only its keys", () => {
    const text = "storage:\n  primary_backend: { type: s3, bucket: a, prefix: p/, access_key: k, " +
      "secret_key: s }\n";
    const store = { origin: "--store", settings: { type: "s3", bucket: "b" } } as const;
    expect(load(text, { store }).storage.primary_backend)
      .toEqual({ type: "s3", bucket: "b", access_key: "k", secret_key: "s" });
    const folder = { origin: "--store", settings: { type: "filesystem", path: "/x" } } as const;
    expect(load(text, { store: folder }).storage.primary_backend)
      .toEqual({ type: "filesystem", path: "/x" });
  });

  test("requires tokens unless it listens on loopback or says so", () => {
    expect(load(STORE).auth.required).toBe(false);
    expect(load(`${STORE}listen: "[::1]:8080"\n`).auth.required).toBe(false);
    expect(load(`${STORE}listen: 0.0.0.0:8080\n`).auth.required).toBe(true);
    expect(load(`${STORE}listen: 127.evil.example:8080\n`).auth.required).toBe(true);
    expect(load(`${STORE}listen: 0.0.0.0:8080\nauth: { required: false }`).auth.required)
      .toBe(false);
  });
});

describe("a wrong config stops the start and says why:", () => {
  const cases: [what: string, text: string, message: string][] = [
    [
      "an unknown key",
      "listen: 127.0.0.1:8080\nstorage:\n  primary_backend:\n    tpye: s3\n",
      "config.yaml:3: storage.primary_backend.type is missing; allowed: s3, filesystem\n" +
      `config.yaml:4: storage.primary_backend.tpye is not a key; allowed: ${BACKEND_KEYS}`,
    ],
    [
      "a wrong choice",
      "storage:\n  primary_backend:\n    type: s4\n",
      'config.yaml:3: storage.primary_backend.type is "s4"; allowed: s3, filesystem',
    ],
    [
      "a wrong type",
      `${STORE}listen: 8080\n`,
      'config.yaml:2: listen is 8080; allowed: host:port, as in "127.0.0.1:8080" or "[::1]:8080"',
    ],
    [
      "a number out of range",
      `${STORE}limits:\n  readers_max: 0\n`,
      "config.yaml:3: limits.readers_max is 0; allowed: a whole number from 1 to 256",
    ],
    [
      "a fraction",
      `${STORE}commit_interval_ms: 1.5\n`,
      "config.yaml:2: commit_interval_ms is 1.5; allowed: a whole number from 0 to 60000",
    ],
    [
      "a group that is a value",
      `${STORE}log: debug\n`,
      'config.yaml:2: log is "debug"; allowed: the keys level, format',
    ],
    [
      "a duration without a unit",
      `${STORE}retention:\n  window: 3600\n`,
      'config.yaml:3: retention.window is 3600; allowed: a duration like "90s", "30m", "24h", "7d"',
    ],
    [
      "a window shorter than what it holds",
      `${STORE}retention: { window: 1h }\n`,
      'config.yaml:2: retention.window is "1h"; allowed: at least as long as retention.every_epoch',
    ],
    [
      "a bucket that is missing",
      "storage: { primary_backend: { type: s3 } }\n",
      "config.yaml:1: storage.primary_backend.bucket is missing; allowed: needed with type s3",
    ],
    [
      "a key of the other type",
      "storage: { primary_backend: { type: filesystem, path: /x, bucket: y } }\n",
      'config.yaml:1: storage.primary_backend.bucket is "y"; allowed: ' +
      "not used with type filesystem; remove it",
    ],
    [
      "two keys of one name",
      "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n",
      "config.yaml:2: not YAML: Map keys must be unique",
    ],
    ["a list", "- listen\n", 'config.yaml:1: expected keys and values, as in "listen: …"'],
    [
      "a prototype",
      `${STORE}__proto__: { x: 1 }\n`,
      "config.yaml:2: __proto__ is not a key; allowed: cluster_mode, storage, listen, roles, zone, " +
      "eligible, memory_dir, auth, limits, retention, commit_interval_ms, log",
    ],
  ];
  for (const [what, text, message] of cases) {
    test(what, () => expect(problem(text)).toBe(message));
  }

  test("no store at all", () => {
    expect(problem(null)).toStartWith("storage.primary_backend is missing; give it there");
    expect(problem("zone: a\n")).toStartWith("config.yaml: storage.primary_backend is missing");
  });

  test("a variable that is not a key, by its name", () => {
    expect(problem(STORE, { environment: { HEADGATE_LOG__LEVLE: "debug" } })).toBe(
      "HEADGATE_LOG__LEVLE: log.levle is not a key; allowed: level, format",
    );
  });

  test("a wrong variable, by its name", () => {
    expect(problem(STORE, { environment: { HEADGATE_ELIGIBLE: "maybe" } })).toBe(
      'HEADGATE_ELIGIBLE: eligible is "maybe"; allowed: true or false',
    );
  });

  test("a wrong flag, by its name", () => {
    const flags = [{ origin: "--log-level", path: ["log", "level"], value: "loud" }];
    expect(problem(STORE, { flags })).toBe(
      '--log-level: log.level is "loud"; allowed: debug, info, warn, error',
    );
  });

  test("a secret is never shown", () => {
    const text = "storage:\n  primary_backend:\n    type: s3\n    bucket: b\n    access_key: k\n" +
      "    secret_key: 12345678\n";
    expect(problem(text)).toBe(
      "config.yaml:6: storage.primary_backend.secret_key is wrong (its value is secret); " +
        "allowed: a text that is not empty",
    );
  });
});

describe("the printed config", () => {
  test("masks secrets and can be read back", () => {
    const text = "storage:\n  primary_backend: { type: s3, bucket: b, access_key: hush1, " +
      "secret_key: hush2 }\nretention: { every_epoch: 90s }\n";
    const printed = configText(load(text));
    expect(printed).not.toContain("hush");
    expect(printed).toContain("every_epoch: 90s");
    expect(load(printed).retention).toEqual(load(text).retention);
  });
});

test("a duration is read as it is written", () => {
  for (const text of ["1ms", "90s", "45m", "24h", "7d"]) {
    expect(durationMs(durationText(durationMs(text)))).toBe(durationMs(text));
  }
  expect(durationText(durationMs("24h"))).toBe("1d");
});
