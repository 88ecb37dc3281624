/** What a workspace is made of and from. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Children } from "./child.ts";
import type { Image } from "./image.ts";

export interface OpenWorkspaceOptions {
  /** For the workspace's files, and its alone; in memory where possible. Removed by `close`. */
  readonly directory: string;
  /** Null: a new empty database with the machinery's tables, whose first take is epoch 1. */
  readonly image: Image | null;
  readonly pageSize: number;
  readonly children: Children;
  readonly clock: Clock;
  /** How far the store's clock is ahead of this one, in ms; kept answers are dated by it (I11). */
  readonly clockOffsetMs?: () => number;
  readonly log: Log;
  /** The database's name, for messages. */
  readonly name: string;
}
