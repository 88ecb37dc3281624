/** Asks a bucket for its lifecycle rules; loaded only by `doctor`. */
import { GetBucketLifecycleConfigurationCommand } from "@aws-sdk/client-s3";
import type { Clock } from "../base/clock.ts";
import { Attempts } from "./attempt.ts";
import { judgeLifecycle, type LifecycleReport } from "./lifecycle.ts";
import { connectS3 } from "./s3-client.ts";
import { s3Answer } from "./s3-failure.ts";
import { keyPrefix, type S3Settings } from "./url.ts";

/**
 * What the bucket's rules do to objects under the prefix. A missing right, and a store without
 * lifecycle rules, give `unknown`; any other failure is thrown.
 */
export async function s3Lifecycle(settings: S3Settings, clock: Clock): Promise<LifecycleReport> {
  const connection = connectS3(settings, clock);
  const action = `read the lifecycle rules of ${settings.bucket}`;
  try {
    return await new Attempts(clock).run(
      { action, writes: false, bytes: 0 },
      {},
      async (signal): Promise<LifecycleReport> => {
        const command = new GetBucketLifecycleConfigurationCommand({ Bucket: settings.bucket });
        try {
          const { Rules } = await connection.client.send(command, { abortSignal: signal });
          return judgeLifecycle(Rules ?? [], keyPrefix(settings.prefix));
        } catch (error) {
          const { status, code } = s3Answer(error);
          if (code === "NoSuchLifecycleConfiguration") return judgeLifecycle([], "");
          if (code === "AccessDenied" || status === 501 || status === 405) {
            return { state: "unknown", reasons: [`The store does not say: ${code ?? status}`] };
          }
          throw error;
        }
      },
    );
  } finally {
    connection.close();
  }
}
