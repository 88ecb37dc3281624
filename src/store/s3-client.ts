/**
 * The AWS SDK's client as this project needs it: one attempt a request, `node:http` below (its
 * `fetch` would send a PUT again when a kept connection drops; tests count what is on the wire),
 * and the store's time learned from every answer.
 */
import { createHash } from "node:crypto";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { type PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { Clock } from "../base/clock.ts";
import { Failure } from "../base/failure.ts";
import { STORE_CONNECT_MS, STORE_SOCKETS_MAX } from "../base/limits.ts";
import { checkEndpoint, type S3Settings } from "./url.ts";

export interface S3Connection {
  readonly client: S3Client;
  /** Store time minus own clock in ms; 0 before the first answer. */
  offsetMs(): number;
  close(): void;
}

export function connectS3(settings: S3Settings, clock: Clock): S3Connection {
  const { endpoint, region, access_key, secret_key } = settings;
  if ((access_key === undefined) !== (secret_key === undefined)) {
    throw new Failure("invalid", "An S3 store takes both access_key and secret_key, or neither");
  }
  const agents = { keepAlive: true, maxSockets: STORE_SOCKETS_MAX };
  const httpAgent = new HttpAgent(agents);
  const httpsAgent = new HttpsAgent(agents);
  const client = new S3Client({
    ...(endpoint !== undefined && { endpoint: checkEndpoint(endpoint) }),
    // Other stores than Amazon's ignore the region but want one in the signature.
    ...(region ?? endpoint ? { region: region ?? "us-east-1" } : {}),
    ...(access_key !== undefined && secret_key !== undefined && {
      credentials: { accessKeyId: access_key, secretAccessKey: secret_key },
    }),
    forcePathStyle: settings.path_style ?? endpoint !== undefined,
    // I8: repeating is ours, since only we know what may be repeated.
    maxAttempts: 1,
    retryMode: "standard",
    defaultsMode: "standard",
    // Newer checksums are refused by older stores; epochs carry their own.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    requestHandler: { httpAgent, httpsAgent, connectionTimeout: STORE_CONNECT_MS, logger: SILENT },
  });
  // I8, once more: the SDK's own retries, which others hook on to, are replaced by one that never
  // repeats. (It would also write a warning to the console for a refused create from a file.)
  client.middlewareStack.add((next) => next, {
    name: "retryMiddleware",
    step: "finalizeRequest",
    priority: "high",
    tags: ["RETRY"],
    override: true,
  });
  let offsetMs = 0;
  learnTime(client, clock, (ms) => offsetMs = ms);
  addContentMd5(client);
  return {
    client,
    offsetMs: () => offsetMs,
    close: () => {
      client.destroy();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** Date has whole seconds, so half a second is added: right within a second, enough for I11. */
function learnTime(client: S3Client, clock: Clock, learn: (offsetMs: number) => void): void {
  client.middlewareStack.add(
    (next) => async (input) => {
      const sentAtMs = clock.nowMs();
      const output = await next(input);
      const headers = headersOf(output.response);
      const dateMs = Date.parse(headers["date"] ?? "");
      // With an Age the answer comes from a cache, and so does its Date.
      if (!Number.isNaN(dateMs) && headers["age"] === undefined) {
        learn(dateMs + 500 - (sentAtMs + clock.nowMs()) / 2);
      }
      return output;
    },
    { step: "deserialize", priority: "low", name: "headgateTime" },
  );
}

/** Deletes of many keys need a checksum, and not every store takes the SDK's CRC-32 for one. */
function addContentMd5(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (input) => {
      const request: unknown = input.request;
      if (context.commandName === "DeleteObjectsCommand" && isTextRequest(request)) {
        request.headers["content-md5"] = createHash("md5").update(request.body).digest("base64");
      }
      return next(input);
    },
    { step: "build", priority: "low", name: "headgateContentMd5" },
  );
}

/** Signs a streamed body by its SHA-256 (hex), which the SDK takes from the header if it is there. */
export function signWith(command: PutObjectCommand, sha256: string): void {
  command.middlewareStack.add(
    (next) => (input) => {
      const request: unknown = input.request;
      if (hasHeaders(request)) request.headers["x-amz-content-sha256"] = sha256;
      return next(input);
    },
    { step: "build", name: "headgateSha256" },
  );
}

interface TextRequest {
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array;
}

function hasHeaders(value: unknown): value is { readonly headers: Record<string, string> } {
  return typeof value === "object" && value !== null && "headers" in value;
}

function isTextRequest(value: unknown): value is TextRequest {
  return hasHeaders(value) && "body" in value &&
    (typeof value.body === "string" || value.body instanceof Uint8Array);
}

function headersOf(response: unknown): Readonly<Record<string, string>> {
  return hasHeaders(response) ? response.headers : {};
}
