/**
 * Where a store is, as one URL or as settings. A URL is for command lines and logs, so it never
 * holds a secret: keys are settings of their own, or come from the AWS SDK's default chain.
 */
import { resolve } from "node:path";
import { Failure } from "../base/failure.ts";

/** The fields of `storage.primary_backend` in the configuration. */
export interface S3Settings {
  readonly type: "s3";
  readonly bucket: string;
  /** Put before every key; with or without a slash at its end. */
  readonly prefix?: string | undefined;
  readonly region?: string | undefined;
  /** "https://host:port"; Amazon's own when absent. */
  readonly endpoint?: string | undefined;
  readonly access_key?: string | undefined;
  readonly secret_key?: string | undefined;
  /** Bucket in the path and not in the host name; by default true with an endpoint. */
  readonly path_style?: boolean | undefined;
}

export interface FilesystemSettings {
  readonly type: "filesystem";
  readonly path: string;
  readonly prefix?: string | undefined;
}

export type StoreSettings = S3Settings | FilesystemSettings;

const FORMS = "s3://bucket/prefix?endpoint=…&region=…&path_style=true or file:///path";

/** Settings of `s3://bucket/prefix?endpoint=…&region=…&path_style=true` or `file:///path`. */
export function parseStoreUrl(url: string): StoreSettings {
  if (url.startsWith("file:")) return parseFile(url);
  if (url.startsWith("s3:")) return parseS3(url);
  throw new Failure("invalid", `A store URL is ${FORMS}; found ${describeUrl(url)}`);
}

/** The URL of a store, in the same form; without secrets. */
export function storeUrl(settings: StoreSettings): string {
  if (settings.type === "filesystem") return `file://${resolve(fullPath(settings))}`;
  const query = new URLSearchParams();
  if (settings.endpoint !== undefined) query.set("endpoint", settings.endpoint);
  if (settings.region !== undefined) query.set("region", settings.region);
  if (settings.path_style !== undefined) query.set("path_style", String(settings.path_style));
  const prefix = keyPrefix(settings.prefix).slice(0, -1);
  const text = query.toString();
  return `s3://${settings.bucket}${prefix && `/${prefix}`}${text && `?${text}`}`;
}

/** "" or a prefix with one slash at its end and none at its start. */
export function keyPrefix(prefix: string | undefined): string {
  const trimmed = (prefix ?? "").replace(/^\/+|\/+$/g, "");
  if (trimmed.split("/").some((segment) => segment === "." || segment === "..")) {
    throw new Failure("invalid", `The store's prefix ${JSON.stringify(prefix)} has "." or ".."`);
  }
  if (trimmed.includes("//")) {
    throw new Failure(
      "invalid",
      `The store's prefix ${JSON.stringify(prefix)} has an empty segment`,
    );
  }
  return trimmed === "" ? "" : `${trimmed}/`;
}

/** The directory of a file store, its prefix included. */
export function fullPath(settings: FilesystemSettings): string {
  if (settings.path === "") throw new Failure("invalid", "The path of a filesystem store is empty");
  return `${settings.path}/${keyPrefix(settings.prefix)}`;
}

function parseFile(url: string): FilesystemSettings {
  const parsed = parse(url);
  if (parsed.host !== "" || !url.startsWith("file:///")) {
    throw new Failure(
      "invalid",
      `A file store's URL has three slashes and an absolute path, as in file:///var/lib/headgate; found ${
        describeUrl(url)
      }`,
    );
  }
  if (parsed.search !== "" || parsed.hash !== "") {
    throw new Failure("invalid", "A file store's URL takes no ? and no #; write %3F and %23");
  }
  return { type: "filesystem", path: decode(parsed.pathname) };
}

function parseS3(url: string): S3Settings {
  const parsed = parse(url);
  if (parsed.username !== "" || parsed.password !== "") {
    throw new Failure(
      "invalid",
      "A store URL never holds keys: set access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    );
  }
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(parsed.host)) {
    throw new Failure(
      "invalid",
      `${JSON.stringify(parsed.host)} is not the name of a bucket; a store URL is ${FORMS}`,
    );
  }
  if (parsed.hash !== "") throw new Failure("invalid", "A store URL takes no #; write %23");
  // Parsing a URL resolves these silently, and the store would be another one.
  if (/\/(\.|%2e){1,2}(\/|$)/i.test(url.replace(/\?.*$/s, ""))) {
    throw new Failure("invalid", `A store's prefix has no "." or ".."; found ${describeUrl(url)}`);
  }
  const settings: { -readonly [K in keyof S3Settings]: S3Settings[K] } = {
    type: "s3",
    bucket: parsed.host,
  };
  const prefix = keyPrefix(decode(parsed.pathname));
  if (prefix !== "") settings.prefix = prefix;
  for (const [name, value] of parsed.searchParams) {
    if (name === "endpoint") settings.endpoint = checkEndpoint(value);
    else if (name === "region") settings.region = value;
    else if (name === "path_style") settings.path_style = flag(name, value);
    else throw new Failure("invalid", unknownParameter(name));
  }
  return settings;
}

function unknownParameter(name: string): string {
  const secret = /key|secret|token|password/i.test(name) ? " (keys are never in a URL)" : "";
  return `A store URL has no parameter ${
    JSON.stringify(name)
  }${secret}: endpoint, region and path_style are allowed`;
}

/** The endpoint as it was given. Throws `invalid` unless it is http(s)://host[:port]. */
export function checkEndpoint(endpoint: string): string {
  const parsed = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const good = parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.host !== "" &&
    parsed.username === "" && parsed.password === "" && parsed.search === "" && parsed.hash === "";
  if (good) return endpoint;
  const found = describeUrl(endpoint);
  throw new Failure(
    "invalid",
    `A store's endpoint is http://host:port or https://host:port; found ${found}`,
  );
}

function flag(name: string, value: string): boolean {
  if (value === "true" || value === "false") return value === "true";
  throw new Failure("invalid", `${name} is true or false; found ${JSON.stringify(value)}`);
}

function parse(url: string): URL {
  if (URL.canParse(url)) return new URL(url);
  throw new Failure("invalid", `A store URL is ${FORMS}; found ${describeUrl(url)}`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new Failure("invalid", "A store URL has a broken % escape", { cause: error });
  }
}

/** A URL for a message: somebody may have put a secret before its @ or after its ?. */
function describeUrl(url: string): string {
  return JSON.stringify(url.replace(/[?#].*$/s, "?…").replace(/\/\/[^/]*@/, "//…@"));
}
