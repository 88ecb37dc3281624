/** Makes workspaces: over a copy of an image, or over a new empty database. */
import { mkdirSync, rmSync } from "node:fs";
import type { Workspace } from "./workspace.ts";
import { workspacePaths } from "./writer-process.ts";
import type { OpenWorkspaceOptions } from "./writer-options.ts";
import { WriterWorkspace } from "./writer-workspace.ts";

/** Rejects with `corrupt` when the image is not what its head says. */
export async function openWorkspace(options: OpenWorkspaceOptions): Promise<Workspace> {
  const { directory, image } = options;
  // What stands here is left over from a process that was killed.
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const workspace = new WriterWorkspace(options);
  try {
    const head = await image?.copy(workspacePaths(directory).path);
    await workspace.open(
      head === undefined ? null : {
        epoch: head.epoch,
        commit: head.commit,
        databaseChecksum: String(head.databaseChecksum),
        fileChecksum: String(head.fileChecksum),
        timestampMs: head.timestampMs,
      },
    );
    return workspace;
  } catch (error) {
    await workspace.close();
    throw error;
  }
}
