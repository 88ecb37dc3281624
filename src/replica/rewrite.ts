/**
 * Epochs that replace the whole content: a rollback, a drop, a create over something left behind.
 * Each is alone in its batch; its object is encoded once into a file, every retry sends that file,
 * and nothing executes until its outcome is certain and the image was made anew from it
 * (PROTOCOL sections 4 and 7).
 */
import type { Image, ImageHead } from "../database/image.ts";
import type { RewriteOptions, Rewritten, Workspace } from "../database/workspace.ts";
import type { Page } from "../epoch/epoch.ts";
import type { Appender } from "./appender.ts";
import { fenced, lostInDoubt, notServed } from "./failures.ts";
import type { Chain } from "./chain.ts";
import { decodePieces } from "./fetch.ts";
import type { Parts } from "./parts.ts";

export type NewContent = Pick<RewriteOptions, "source" | "keepRequests" | "kind">;

export interface RewriteRequest extends NewContent {
  readonly chain: Chain;
  readonly nodeId: bigint;
  readonly pageSize: number;
}

export interface Rewrote {
  readonly image: Image;
  readonly size: number;
}

/** Appends the new content and builds its image. Rejects with `elsewhere` or `uncertain` when lost. */
export async function appendContent(
  parts: Parts,
  workspace: Workspace,
  appender: Appender,
  request: RewriteRequest,
): Promise<Rewrote> {
  const { chain, source, keepRequests, kind, nodeId } = request;
  const timestampMs = parts.clock.nowMs();
  const rewritten = await workspace.rewrite({ source, keepRequests, kind, timestampMs, nodeId });
  try {
    parts.crashPoint(`rewrite.${kind}.before_append`);
    const result = await appender.append(
      {
        epoch: rewritten.number,
        fileChecksum: rewritten.fileChecksum,
        databaseChecksum: rewritten.databaseChecksum,
        timestampMs: rewritten.timestampMs,
      },
      { path: rewritten.path, size: rewritten.size },
    );
    if (result.outcome === "lost") {
      throw result.everUnknown ? lostInDoubt(chain.name) : fenced(chain.name);
    }
    parts.crashPoint(`rewrite.${kind}.after_append`);
    const image = await imageOf(parts, request, rewritten).catch((cause) => {
      throw notServed(chain.name, rewritten.number, cause);
    });
    return { image, size: rewritten.size };
  } finally {
    await parts.removeFile(rewritten.path);
  }
}

async function imageOf(
  parts: Parts,
  { chain, pageSize }: RewriteRequest,
  rewritten: Rewritten,
): Promise<Image> {
  const builder = await parts.createImage(chain.name, pageSize);
  try {
    const write = (pages: readonly Page[], header: { commit: number }) =>
      builder.write(pages, header.commit);
    const { header } = await decodePieces(
      parts.readFile(rewritten.path),
      `epoch ${rewritten.number} of ${chain.name}`,
      parts.clock,
      write,
    );
    const head: ImageHead = {
      epoch: rewritten.number,
      commit: header.commit,
      databaseChecksum: rewritten.databaseChecksum,
      fileChecksum: rewritten.fileChecksum,
      timestampMs: rewritten.timestampMs,
    };
    return await builder.finish(head);
  } catch (error) {
    await builder.abandon();
    throw error;
  }
}
