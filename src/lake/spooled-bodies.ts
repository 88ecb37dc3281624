/** The bodies of requests in one file, from which a loader reads them. */
import { rm } from "node:fs/promises";
import type { BodyPlace } from "./load/message.ts";
import type { WaitingRows } from "./waiting-rows.ts";

/** Does the work with where each request's body is in a file at `path`, which is removed then. */
export async function withBodies(
  path: string,
  requests: readonly WaitingRows[],
  work: (bodies: ReadonlyMap<WaitingRows, BodyPlace>) => Promise<void>,
): Promise<void> {
  try {
    await Bun.write(path, Buffer.concat(requests.map(({ request }) => request.body)));
    let offset = 0;
    const bodies = new Map(requests.map((waiting) => {
      const { format, encoding, body } = waiting.request;
      const place = { path, offset, bytes: body.length, format, encoding };
      offset += body.length;
      return [waiting, place];
    }));
    await work(bodies);
  } finally {
    await rm(path, { force: true });
  }
}
