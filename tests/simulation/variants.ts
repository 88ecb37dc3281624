/**
 * Small changes to the product, each of which breaks one rule of the protocol. They are made to the
 * source as it is loaded, so that nothing in the product has to know of them; a variant whose text
 * is no longer found fails, and has to be thought about again.
 */
import type { BunPlugin } from "bun";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER_CHANGES } from "./cluster-variants.ts";
import type { WorldName } from "./seeds.ts";

const root = join(import.meta.dirname, "../..");

export interface Change {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

export class Variant {
  readonly name: string;
  /** The invariants that it breaks. */
  readonly breaks: string;
  /** It must be caught within so many. */
  readonly seedsMax: number;
  readonly changes: readonly Change[];
  readonly world: WorldName;

  constructor(
    name: string,
    breaks: string,
    seedsMax: number,
    changes: readonly Change[],
    world: WorldName = "replicas",
  ) {
    this.name = name;
    this.breaks = breaks;
    this.seedsMax = seedsMax;
    this.changes = changes;
    this.world = world;
  }

  /** The changed text of a file of the product. */
  text(file: string): string {
    let text = readFileSync(join(root, file), "utf8");
    for (const change of this.changes) {
      if (change.file !== file) continue;
      const parts = text.split(change.find);
      if (parts.length !== 2) {
        throw new Error(
          `variant "${this.name}": ${file} holds ${JSON.stringify(change.find)} ` +
            `${parts.length - 1} times, not once`,
        );
      }
      text = parts.join(change.put);
    }
    return text;
  }

  plugin(): BunPlugin {
    const files = new Set(this.changes.map(({ file }) => file));
    return {
      name: "variant",
      setup: (build) => {
        for (const file of files) {
          const path = join(root, file);
          const filter = new RegExp(`^${path.replaceAll(/[.\\/]/g, "\\$&")}$`);
          build.onLoad({ filter }, () => ({ contents: this.text(file), loader: "ts" }));
        }
      },
    };
  }
}

/** An epoch counts as applied, but its pages are not written. */
const SKIP: Change = {
  file: "src/database/image-file.ts",
  find: "  reached(epoch: number, deadlineMs: number): Promise<void> {",
  put: "  skip(epoch) {\n    this.#head = headAfter(epoch, 0);\n  }\n\n" +
    "  reached(epoch: number, deadlineMs: number): Promise<void> {",
};

/** Nobody looks for what was pruned while it slept: that alone would keep most sleepers out. */
const UNAWARE: Change = {
  file: "src/replica/durable.ts",
  find: "if (wasAway || isNewFeed) await",
  put: "if (Math.PI === 3) await",
};

export const VARIANTS: readonly Variant[] = [
  new Variant("no check after the claim", "I5", 90, [{
    file: "src/replica/claim.ts",
    find: "(options.isClaimNext || !(await hasEpochAfter(chain, number)))",
    put: "true",
  }, UNAWARE]),
  new Variant("answer before the PUT", "I3", 5, [{
    file: "src/replica/landing.ts",
    find: "      const result = await appender.append(",
    put: "      batch.answer(epoch.number);\n      const result = await appender.append(",
  }]),
  new Variant("zero-change batch answered at once", "I3", 60, [{
    file: "src/replica/landing.ts",
    find: "batch.answer(await appender.prove())",
    put: "batch.answer(appender.tip.epoch)",
  }]),
  new Variant("412 taken as lost", "I7", 60, [{
    file: "src/store/settle.ts",
    find: `    if (last === "created" || last === "equal") return`,
    put: `    if (last === "exists") return creation.settled("lost", false);\n` +
      `    if (last === "created" || last === "equal") return`,
  }, {
    file: "src/store/settle.ts",
    find: `  if (last === "created") return creation.settled("won", true);`,
    put: `  if (last === "created") return creation.settled("won", true);\n` +
      `  if (last === "exists") return creation.settled("lost", false);`,
  }]),
  new Variant("unknown taken as won", "I7", 10, [{
    file: "src/store/settle.ts",
    find: `  if (last === "created") return creation.settled("won", true);`,
    put: `  if (last === "created" || last === "unknown") return creation.settled("won", true);`,
  }]),
  new Variant("retry with other bytes", "I2", 10, [{
    file: "src/store/settle.ts",
    find: "return await this.#store.create(this.#key, this.#body, options);",
    put: "const body = this.#everUnknown && this.#body instanceof Uint8Array\n" +
      "        ? this.#body.map((byte, at) => at === 39 ? byte + 1 : byte)\n" +
      "        : this.#body;\n" +
      "      return await this.#store.create(this.#key, body, options);",
  }]),
  new Variant("claims pruned", "I4", 10, [{
    file: "src/replica/prune.ts",
    find: `kind === "data" || kind === "resignation"`,
    put: `kind !== "tombstone"`,
  }]),
  new Variant("claims forgotten by a rollback", "I14", 30, [{
    file: "src/database/rewrite.ts",
    find: "keepRequests ? [CLAIMS_TABLE, REQUESTS_TABLE] : [CLAIMS_TABLE]",
    put: "keepRequests ? [REQUESTS_TABLE] : []",
  }]),
  new Variant("a re-created database starts its chain again", "I4", 60, [{
    file: "src/server/drop-chain.ts",
    find: "await pruneBelow(replica.chain, snapshot);",
    put: "await pruneBelow(replica.chain, snapshot);\n" +
      "      const { objects } = await parts.store.list(`databases/${replica.name}/`);\n" +
      "      await parts.store.remove(objects.map(({ key }) => key));",
  }]),
  new Variant("fenced owner keeps its workspace", "I8", 10, [{
    file: "src/replica/owner.ts",
    find: "    this.#options.onFenced();\n    await this.#workspace.close();",
    put: "    (this.#parts as any).kept ??= new Map();\n" +
      "    (this.#parts as any).kept.set(this.#options.chain.name, this.#workspace);\n" +
      "    this.#options.onFenced();",
  }, {
    file: "src/replica/claim.ts",
    find: "parts.openWorkspace(chain.name, image, pageSize);",
    put: "Promise.resolve((parts as any).kept?.get(chain.name) ??\n" +
      "    parts.openWorkspace(chain.name, image, pageSize));",
  }]),
  new Variant("loser skips the winner's epoch", "I9", 30, [{
    file: "src/replica/tenure.ts",
    find: `      if (durable.image) await catchUp();\n    } catch`,
    put: `      if (durable.image) await (durable as any).skipNext();\n    } catch`,
  }, {
    file: "src/replica/durable.ts",
    find: "  async rejoin(): Promise<void> {",
    put: "  async skipNext() {\n" +
      "    const image = this.image as any;\n" +
      "    const { epochKey } = await import('./chain.ts');\n" +
      "    const won = await this.#chain.store.get(epochKey(this.#chain, image.head.epoch + 1));\n" +
      "    if (won) image.skip(await decodeSliced(won.bytes, 'it', this.#parts.clock));\n" +
      "  }\n\n  async rejoin(): Promise<void> {",
  }, SKIP]),
  new Variant("follower skips an epoch", "I9", 20, [{
    file: "src/replica/follow.ts",
    find: "    await image.apply(epoch);",
    put: "    if (head.epoch % 7 === 3) (image as any).skip(epoch);\n" +
      "    else await image.apply(epoch);",
  }, SKIP]),
  new Variant("link not compared", "I9", 80, [{
    file: "src/replica/follow.ts",
    find: "if (epoch.header.link !== head.fileChecksum) {",
    put: "if (Math.PI === 3) {",
  }, {
    file: "src/database/image-apply.ts",
    find: "if (level === 0 && header.link !== head.fileChecksum) {",
    put: "if (Math.PI === 3) {",
  }]),
  new Variant("a claim on a pruned part is applied", "I9", 40, [{
    file: "src/replica/follow.ts",
    find: "const above = snapshots.find(({ max }) => max > claim);",
    put: "const above = snapshots.find(({ max }) => max > claim + 1e9);",
  }, UNAWARE]),
  new Variant("linearizable read proved by an append sent before it arrived", "section 5", 200, [{
    file: "src/replica/appender.ts",
    find: "    this.#waiting.push(waiter);\n    this.#head();",
    put: "    (this.#inFlight ? this.#covered : this.#waiting).push(waiter);\n    this.#head();",
  }]),
  ...CLUSTER_CHANGES.map(({ name, breaks, seedsMax, changes }) =>
    new Variant(name, breaks, seedsMax, changes, "cluster")
  ),
];
