import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  DeleteBucketLifecycleCommand,
  GetObjectCommand,
  PutBucketLifecycleConfigurationCommand,
} from "@aws-sdk/client-s3";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { systemRandom } from "../../src/base/random.ts";
import { checkLifecycle, openStore } from "../../src/store/open.ts";
import { probeStore } from "../../src/store/probe.ts";
import { connectS3 } from "../../src/store/s3-client.ts";
import type { Store } from "../../src/store/store.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { storeConformance } from "../support/store-conformance.ts";
import type { S3Settings } from "../../src/store/url.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

const parts = { clock: systemClock, random: systemRandom, log: silentLog };
const server = await s3Server();

if (!hasS3(server)) {
  test.skip(`S3: ${server.reason}`, () => {});
} else {
  const opened = new Map<Store, S3Settings>();
  storeConformance("an S3 bucket", {
    open: async (shared) => {
      const settings = (shared && opened.get(shared)) ?? server.settings();
      const store = await openStore(settings, parts);
      opened.set(store, settings);
      return store;
    },
  });

  describe("the S3 store", () => {
    test("keeps metadata with the object, and nothing outside its prefix", async () => {
      const settings = server.settings();
      const store = await openStore(settings, parts);
      await store.create("a", new Uint8Array(1), { metadata: { "litestream-timestamp": "now" } });
      const { client, close } = connectS3(settings, systemClock);
      const found = await client.send(
        new GetObjectCommand({ Bucket: settings.bucket, Key: `${settings.prefix}/a` }),
      );
      expect(found.Metadata).toEqual({ "litestream-timestamp": "now" });
      const neighbour = await openStore({ ...settings, prefix: `${settings.prefix}b` }, parts);
      await neighbour.create("b", new Uint8Array(1));
      expect((await store.list("")).objects.map(({ key }) => key)).toEqual(["a"]);
      close();
    });

    test("passes the probe and leaves nothing behind [I12]", async () => {
      const store = await openStore(server.settings(), parts);
      const report = await probeStore(store, parts);
      expect(report.conditionalReplace).toBe("honoured");
      expect(report.steps.length).toBeGreaterThan(8);
      expect(await store.list("")).toEqual({ objects: [], more: false });
    });

    test("a wrong secret is denied, a bucket that is not there invalid", async () => {
      const settings = server.settings();
      const kind = async (changed: Partial<S3Settings>) => {
        const store = await openStore({ ...settings, ...changed }, parts);
        const error = await store.create("a", new Uint8Array(1)).catch((thrown) => thrown);
        expect(error.message).not.toContain("wrong-secret");
        return `${error.kind} ${error.details?.code}`;
      };
      expect(await kind({ secret_key: "wrong-secret" })).toBe("denied SignatureDoesNotMatch");
      expect(await kind({ access_key: "nobody" })).toBe("denied InvalidAccessKeyId");
      expect(await kind({ bucket: "no-such-bucket" })).toBe("invalid NoSuchBucket");
    });

    test("a bucket whose rules expire the objects is found out [I12]", async () => {
      const settings = server.settings();
      expect(await checkLifecycle(settings, systemClock)).toEqual({
        state: "harmless",
        reasons: [],
      });
      const { client, close } = connectS3(settings, systemClock);
      const Bucket = settings.bucket;
      const expire = async (Prefix: string) => {
        const rule = { ID: "tidy", Status: "Enabled" as const, Expiration: { Days: 30 } };
        const LifecycleConfiguration = { Rules: [{ ...rule, Filter: { Prefix } }] };
        await client.send(
          new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }),
        );
        return (await checkLifecycle(settings, systemClock)).state;
      };
      try {
        expect(await expire("elsewhere/")).toBe("harmless");
        expect(await expire(`${settings.prefix}/databases/`)).toBe("harmful");
      } finally {
        await client.send(new DeleteBucketLifecycleCommand({ Bucket }));
        close();
      }
    });

    test("a clock that is an hour wrong is corrected after one definite refusal [I11]", async () => {
      const settings = server.settings();
      const clock = { ...systemClock, nowMs: () => Date.now() - 3_600_000 };
      const connection = connectS3(settings, clock);
      // What the SDK adds to the machine's clock; that clock itself cannot be set back here.
      connection.client.config.systemClockOffset = -3_600_000;
      const get = () =>
        connection.client.send(new GetObjectCommand({ Bucket: settings.bucket, Key: "none" }));
      const names = [];
      for (let attempt = 0; attempt < 2; attempt++) {
        names.push(await get().catch((error) => error.name));
      }
      expect(names).toEqual(["RequestTimeTooSkewed", "NoSuchKey"]);
      expect(Math.abs(connection.offsetMs() - 3_600_000)).toBeLessThan(2_000);
      connection.close();
    });
  });
}
