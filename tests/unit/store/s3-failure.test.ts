import { describe, expect, test } from "bun:test";
import { judgeLifecycle } from "../../../src/store/lifecycle.ts";
import { s3Failure } from "../../../src/store/s3-failure.ts";
import { compareKeys, sortKeys } from "../../../src/store/key.ts";

const attempt = {
  action: "create a in s3://b",
  writes: true,
  ended: null,
  deadlineMs: 5000,
} as const;
const refused = (httpStatusCode: number, name = "Unknown") =>
  Object.assign(new Error("UnknownError"), { name, $metadata: { httpStatusCode } });
const broken = (facts: object) => Object.assign(new Error("it broke"), facts);

describe("an S3 error", () => {
  test("is an unknown outcome for a write and passes for a read, unless it says no [I7]", () => {
    const unknown = [
      refused(500),
      refused(502),
      refused(503, "SlowDown"),
      refused(504),
      refused(409, "ConditionalRequestConflict"),
      refused(408),
      refused(400, "RequestTimeout"),
      refused(200),
      broken({ code: "ECONNRESET", syscall: "read" }),
      broken({ code: "EHOSTUNREACH", syscall: "read" }),
      broken({ code: "EPIPE", syscall: "write" }),
      new SyntaxError("unexpected <html>"),
      "a string",
    ];
    for (const error of unknown) {
      expect(s3Failure(error, attempt).kind).toBe("uncertain");
      expect(s3Failure(error, { ...attempt, writes: false }).kind).toBe("unavailable");
    }
  });

  test("is certain when the store refused or was never reached", () => {
    const certain = [
      [refused(403, "AccessDenied"), "denied"],
      [refused(401), "denied"],
      [refused(403, "SignatureDoesNotMatch"), "denied"],
      [refused(403, "RequestTimeTooSkewed"), "unavailable"],
      [refused(429), "unavailable"],
      [refused(400, "BadDigest"), "unavailable"],
      [refused(404, "NoSuchBucket"), "invalid"],
      [refused(301, "PermanentRedirect"), "invalid"],
      [broken({ code: "ECONNREFUSED", syscall: "connect" }), "unavailable"],
      [broken({ code: "ETIMEDOUT", syscall: "connect" }), "unavailable"],
      [broken({ code: "ENOTFOUND", syscall: "getaddrinfo" }), "unavailable"],
      [broken({ name: "CredentialsProviderError" }), "denied"],
    ] as const;
    for (const [error, kind] of certain) expect(s3Failure(error, attempt).kind).toBe(kind);
  });

  test("says what was done, to what, and why it failed", () => {
    expect(s3Failure(refused(503, "SlowDown"), attempt).message)
      .toBe("Cannot create a in s3://b: the store answered 503 SlowDown");
    expect(s3Failure(new Error("aborted"), { ...attempt, ended: "deadline" }).message)
      .toBe("Cannot create a in s3://b: no answer within 5000 ms");
    const slow = Object.assign(refused(503), { $response: { headers: { "retry-after": "2" } } });
    expect(s3Failure(slow, attempt).retryAfterMs).toBe(2000);
  });
});

describe("lifecycle rules", () => {
  const rule = (facts: object) => [{ ID: "r", Status: "Enabled" as const, ...facts }];
  const days = { Expiration: { Days: 30 } };

  test("that expire objects under the prefix are harmful [I12]", () => {
    for (
      const filter of [{}, { Filter: {} }, { Filter: { Prefix: "a/" } }, {
        Filter: { Prefix: "a/b/c" },
      }, {
        Prefix: "a",
      }, { Filter: { And: { Prefix: "a/b/", ObjectSizeGreaterThan: 1 } } }]
    ) {
      const report = judgeLifecycle(rule({ ...days, ...filter }), "a/b/");
      expect(report.state).toBe("harmful");
      expect(report.reasons[0]).toContain("removes objects after 30 days");
    }
    const archive = { Transitions: [{ Days: 1, StorageClass: "GLACIER" as const }] };
    expect(judgeLifecycle(rule(archive), "a/").state).toBe("harmful");
  });

  test("that are off, elsewhere, for tags or for old versions are harmless", () => {
    const harmless = [
      { ...days, Status: "Disabled" },
      { ...days, Filter: { Prefix: "other/" } },
      { ...days, Filter: { Tag: { Key: "k", Value: "v" } } },
      { ...days, Filter: { And: { Prefix: "a/", Tags: [{ Key: "k", Value: "v" }] } } },
      { NoncurrentVersionExpiration: { NoncurrentDays: 1 } },
      { AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 } },
      { Expiration: { ExpiredObjectDeleteMarker: true } },
      { Transitions: [{ Days: 1, StorageClass: "STANDARD_IA" as const }] },
    ];
    for (const facts of harmless) expect(judgeLifecycle(rule(facts), "a/").state).toBe("harmless");
    expect(judgeLifecycle([], "a/")).toEqual({ state: "harmless", reasons: [] });
  });
});

describe("the order of keys", () => {
  test("is that of their UTF-8 bytes", () => {
    const keys = [
      "",
      "a",
      "a-",
      "a/",
      "a/b",
      "a0",
      "b",
      "é",
      "߿",
      "ࠀ",
      "\ud7ff",
      "\ue000",
      "ﬀ",
      "\uffff",
      "𐀀",
      "😀",
      "\u{10ffff}",
    ];
    for (const a of keys) {
      for (const b of keys) {
        const bytes = Buffer.compare(Buffer.from(a), Buffer.from(b));
        expect(Math.sign(compareKeys(a, b))).toBe(bytes);
      }
    }
    expect(sortKeys([...keys].reverse())).toEqual(keys);
    expect(sortKeys(["b", "a/", "a-"])).toEqual(["a-", "a/", "b"]);
  });
});
