/** The lakes of a node, with the processes and folders that they work in. */
import type { Clock } from "../base/clock.ts";
import type { Failure } from "../base/failure.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Random } from "../base/random.ts";
import type { Config } from "../config/config.ts";
import type { HeadgateNode } from "../http/node.ts";
import { KeysByDatabase } from "../database/answered-keys.ts";
import { LakeFiles } from "../lake/lake-files.ts";
import { Lakes } from "../lake/lakes.ts";
import type { LakesOptions } from "../lake/lakes-options.ts";
import { Loaders } from "../lake/load/loaders.ts";
import { StagedFiles } from "../lake/staged-files.ts";
import { nativeBinding } from "../lake/query/native-binding.ts";
import { LakeQueries } from "../lake/query/queries.ts";
import { measuredLakes } from "./measured-lakes.ts";
import type { MemoryFolder } from "./memory-folder.ts";
import type { Assembly } from "./parts.ts";

export interface NodeLakesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly assembly: Assembly;
  readonly memory: MemoryFolder;
  readonly metrics: Metrics;
  readonly config: Config;
  readonly databases: LakesOptions["databases"];
  leads(): boolean;
}

export class NodeLakes {
  /** As clients see them. */
  readonly port: HeadgateNode["lakes"];
  readonly lakes: Lakes;
  readonly #files: LakeFiles;
  readonly #loaders: Loaders;
  readonly #queries: LakeQueries;

  constructor(options: NodeLakesOptions) {
    const { clock, random, log, assembly, memory, databases, leads, metrics, config } = options;
    const { store, children } = assembly;
    this.#files = new LakeFiles({ store, clock, random, log, folder: memory.temporary("lakes") });
    this.#loaders = new Loaders(children, clock);
    this.#queries = new LakeQueries({
      children,
      clock,
      folder: memory.temporary("lake-queries"),
      binding: nativeBinding(random.u64().toString(36)),
    });
    this.lakes = new Lakes({
      clock,
      keys: new KeysByDatabase(random),
      log,
      random,
      leads,
      databases,
      store,
      windowMs: config.retention.window_ms,
      files: this.#files,
      staged: new StagedFiles({ store, clock, random, log }),
      loaders: this.#loaders,
      queries: this.#queries,
      clockOffsetMs: () => store.clockOffsetMs(),
      uuid: () => uuid(random),
    });
    this.port = measuredLakes(this.lakes, metrics, clock);
  }

  async close(failure: Failure): Promise<void> {
    this.lakes.close(failure);
    await Promise.all([this.#queries.close(), this.#loaders.close()]);
    this.#files.close();
  }
}

/** RFC 9562, version 4. */
function uuid(random: Random): string {
  const hex = [random.u64(), random.u64()].map((part) => part.toString(16).padStart(16, "0"));
  const digits = hex.join("");
  const variant = (Number.parseInt(digits[16] ?? "0", 16) & 3 | 8).toString(16);
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `4${digits.slice(13, 16)}`,
    variant + digits.slice(17, 20),
    digits.slice(20),
  ].join("-");
}
