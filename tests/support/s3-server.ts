/**
 * A real S3 server for tests. It is started once per test process by scripts/s3/start and stops
 * with it, or is one that already runs and is named by HEADGATE_TEST_S3, as either
 *
 *   {"endpoint":"http://127.0.0.1:7490","access_key":"…","secret_key":"…","bucket":"…"}
 *   s3://bucket?endpoint=http://127.0.0.1:7490     (keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)
 *
 * The bucket may be left out of the JSON form; it is made if it is not there.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BucketAlreadyOwnedByYou, CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { parseStoreUrl, type S3Settings } from "../../src/store/url.ts";

export interface S3Server {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly bucket: string;
  /** Settings of a store under a prefix that nobody else uses; `endpoint` to go through a proxy. */
  settings(endpoint?: string): S3Settings;
}

export interface NoS3Server {
  /** Why there is none, for the message of a skipped test. */
  readonly reason: string;
}

let started: Promise<S3Server | NoS3Server> | undefined;

/** The server of this process, or why there is none. */
export function s3Server(): Promise<S3Server | NoS3Server> {
  return started ??= start();
}

export function hasS3(server: S3Server | NoS3Server): server is S3Server {
  return "endpoint" in server;
}

async function start(): Promise<S3Server | NoS3Server> {
  const given = process.env["HEADGATE_TEST_S3"];
  const found = given ? fromEnvironment(given) : await startOwn();
  if ("reason" in found) {
    console.warn(`S3 tests are skipped: ${found.reason}`);
    return found;
  }
  await makeBucket(found);
  let stores = 0;
  return {
    ...found,
    settings: (endpoint = found.endpoint) => ({
      type: "s3",
      bucket: found.bucket,
      prefix: `test-${crypto.randomUUID().slice(0, 8)}-${++stores}`,
      endpoint,
      region: "us-east-1",
      path_style: true,
      access_key: found.accessKey,
      secret_key: found.secretKey,
    }),
  };
}

type Address = Omit<S3Server, "settings">;

function fromEnvironment(text: string): Address {
  if (text.trimStart().startsWith("{")) {
    const given = JSON.parse(text) as Record<string, string>;
    return {
      endpoint: given["endpoint"] ?? "",
      accessKey: given["access_key"] ?? "",
      secretKey: given["secret_key"] ?? "",
      bucket: given["bucket"] ?? "headgate-test",
    };
  }
  const settings = parseStoreUrl(text);
  if (settings.type !== "s3" || settings.endpoint === undefined) {
    throw new Error("HEADGATE_TEST_S3 must be an s3:// URL with an endpoint, or JSON");
  }
  return {
    endpoint: settings.endpoint,
    accessKey: process.env["AWS_ACCESS_KEY_ID"] ?? "",
    secretKey: process.env["AWS_SECRET_ACCESS_KEY"] ?? "",
    bucket: settings.bucket,
  };
}

async function startOwn(): Promise<Address | NoS3Server> {
  const directory = mkdtempSync(join(tmpdir(), "headgate-test-s3-"));
  const environment = {
    ...process.env,
    HEADGATE_S3_DIR: directory,
    HEADGATE_S3_PORT: String(await freePort()),
    HEADGATE_S3_MON_PORT: String(await freePort()),
    HEADGATE_S3_WITH_PID: String(process.pid),
  };
  const script = (name: string) => join(import.meta.dir, "../../scripts/s3", name);
  const child = Bun.spawn([script("start")], { env: environment, stdout: "pipe", stderr: "pipe" });
  const [output, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) {
    rmSync(directory, { recursive: true, force: true });
    if (code === 3) return { reason: errors.trim().split("\n").at(-1) ?? "unknown" };
    throw new Error(`scripts/s3/start failed with ${code}:\n${errors}`);
  }
  process.on("exit", () => Bun.spawnSync([script("stop")], { env: environment }));
  const address = JSON.parse(output) as Record<string, string>;
  return {
    endpoint: address["endpoint"] ?? "",
    accessKey: address["access_key"] ?? "",
    secretKey: address["secret_key"] ?? "",
    bucket: "headgate-test",
  };
}

async function makeBucket(address: Address): Promise<void> {
  const client = new S3Client({
    endpoint: address.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: address.accessKey, secretAccessKey: address.secretKey },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: address.bucket }));
  } catch (error) {
    if (!(error instanceof BucketAlreadyOwnedByYou)) throw error;
  } finally {
    client.destroy();
  }
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
