import { describe, expect, test } from "bun:test";
import { Failure } from "../../../src/base/failure.ts";
import { keyPrefix, parseStoreUrl, storeUrl } from "../../../src/store/url.ts";

function refusal(url: string): string {
  try {
    parseStoreUrl(url);
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
    expect((error as Failure).kind).toBe("invalid");
    return (error as Failure).message;
  }
  throw new Error(`${url} was taken`);
}

describe("a store URL", () => {
  test("names a bucket, a prefix and where the store is", () => {
    expect(parseStoreUrl("s3://bucket")).toEqual({ type: "s3", bucket: "bucket" });
    expect(parseStoreUrl(
      "s3://my.bucket/a/b/?endpoint=http://127.0.0.1:9000&region=eu-west-1&path_style=true",
    )).toEqual({
      type: "s3",
      bucket: "my.bucket",
      prefix: "a/b/",
      endpoint: "http://127.0.0.1:9000",
      region: "eu-west-1",
      path_style: true,
    });
  });

  test("names a directory by its absolute path", () => {
    expect(parseStoreUrl("file:///var/lib/head%20gate"))
      .toEqual({ type: "filesystem", path: "/var/lib/head gate" });
    expect(refusal("file://relative/path")).toContain("three slashes");
    expect(refusal("file:///a?b=c")).toContain("no ?");
  });

  test("comes back from its settings, without secrets", () => {
    for (
      const url of [
        "s3://bucket",
        "s3://bucket/a/b",
        "s3://bucket/a?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=x&path_style=false",
        "file:///var/lib/headgate",
      ]
    ) expect(storeUrl(parseStoreUrl(url))).toBe(url);
    const secret = { access_key: "AKIA", secret_key: "hush" };
    expect(storeUrl({ type: "s3", bucket: "bucket", ...secret })).toBe("s3://bucket");
  });

  test("says what is wrong and what is allowed", () => {
    expect(refusal("http://example.com")).toContain("s3://bucket/prefix");
    expect(refusal("bucket")).toContain("file:///path");
    expect(refusal("s3://Bad_Bucket!/x")).toContain("bucket");
    expect(refusal("s3://bucket?colour=red")).toContain("endpoint, region and path_style");
    expect(refusal("s3://bucket?path_style=yes")).toContain('"yes"');
    expect(refusal("s3://bucket?endpoint=127.0.0.1:9000")).toContain("http://host:port");
    expect(refusal("s3://bucket/a//b")).toContain("empty segment");
    expect(refusal("s3://bucket/a%")).toContain("escape");
    expect(refusal("s3://bucket/a/%2e%2e/b")).toContain("..");
  });

  test("never holds a secret, and never repeats one in its error", () => {
    const secrets = [
      "s3://AKIA:hush@bucket/x",
      "s3://bucket?secret_key=hush",
      "s3://bucket?endpoint=http://user:hush@127.0.0.1",
      "http://user:hush@host/path?token=hush",
    ];
    for (const url of secrets) expect(refusal(url)).not.toContain("hush");
    expect(refusal("s3://bucket?secret_key=hush")).toContain("never in a URL");
  });

  test("a prefix ends in one slash and starts with none", () => {
    expect(keyPrefix(undefined)).toBe("");
    expect(keyPrefix("")).toBe("");
    expect(keyPrefix("/")).toBe("");
    expect(keyPrefix("a")).toBe("a/");
    expect(keyPrefix("/a/b//")).toBe("a/b/");
  });
});
