/** What must hold of each process after each of its events, and of all at the end. */
import type { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import type { Image } from "../../src/database/image.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import type { Replica } from "../../src/replica/replica.ts";
import type { Bucket, Violated } from "./simulated-bucket.ts";
import type { RunningProcess } from "./simulated-machine.ts";

export interface ChecksParts {
  readonly bucket: Bucket;
  readonly violated: Violated;
  running(): RunningProcess[];
  pass(ms: number): void;
}

export class Checks {
  readonly #parts: ChecksParts;
  /** The head at which each image was last compared byte by byte. */
  readonly #compared = new WeakMap<Image, number>();
  #isOver = false;

  constructor(parts: ChecksParts) {
    this.#parts = parts;
  }

  /** After each event of a process. */
  process(process: RunningProcess): void {
    if (process.clock.isStopped) return;
    for (const replica of process.catalog.replicas()) this.#checkReplica(process, replica);
  }

  /** I6, and that nobody knows of epochs that are not durable. */
  #checkReplica(process: RunningProcess, replica: Replica): void {
    const { state, name, tip } = replica;
    if (state === "corrupt") {
      return this.#violated("I9", `${process.name} finds ${name} corrupt`);
    }
    const chain = this.#parts.bucket.chain(name);
    if (tip > chain.tip) {
      this.#violated("I3", `${process.name} takes epoch ${tip} of ${name} for durable`);
    }
    if (["rebuilding", "closed", "opening"].includes(state) || tip === 0) return;
    if (state === "claiming" && chain.tip === 0) return;
    const { image } = replica;
    const { head } = image;
    const truth = chain.epoch(head.epoch);
    if (
      truth?.header.databaseChecksum !== head.databaseChecksum ||
      truth.fileChecksum !== head.fileChecksum
    ) {
      this.#violated("I6", `${process.name} at ${head.epoch} of ${name} is not what the chain is`);
    }
    if (this.#compared.get(image) === head.epoch) return;
    this.#compared.set(image, head.epoch);
    void this.#compare(process, replica, image).catch(() => {});
  }

  /** Between two epochs, every byte of an image's file is what the chain makes it. */
  async #compare(process: RunningProcess, { name }: Replica, image: Image): Promise<void> {
    await image.read(() => {
      const { epoch } = image.head;
      const truth = this.#parts.bucket.chain(name).bytes(epoch);
      if (Buffer.compare(readFileSync(image.path), truth) === 0) return;
      this.#violated("I6", `${process.name} has another ${name} at ${epoch} than the chain`);
    });
  }

  /** When all is calm: everybody has the same, and it is sound. */
  end(databases: readonly string[]): void {
    const processes = this.#parts.running();
    for (const name of [SYSTEM_DATABASE, ...databases]) {
      const chain = this.#parts.bucket.chain(name);
      if (chain.tip === 0) continue;
      this.#checkIntegrity(name, chain.open(chain.tip));
      for (const process of processes) {
        if (this.#isOver) return;
        const replica = process.catalog.peek(name);
        if (!replica) continue;
        const { epoch } = replica.image.head;
        if (epoch !== chain.tip) {
          this.#violated(
            "liveness",
            `${process.name} is at ${epoch} of ${name} (${replica.state}), the chain at ${chain.tip}`,
          );
        }
        this.#checkBytes(process, replica);
      }
    }
  }

  /** Every byte of an image is what the chain makes it. */
  #checkBytes(process: RunningProcess, replica: Replica): void {
    const path = process.parts.temporaryPath("copy");
    let isCopied = false;
    replica.image.copy(path).then(
      () => isCopied = true,
      (error) => this.#violated("I6", `${process.name} cannot copy ${replica.name}: ${error}`),
    );
    this.#parts.pass(1_000);
    if (!isCopied) return this.#violated("I6", `${process.name} does not copy ${replica.name}`);
    const chain = this.#parts.bucket.chain(replica.name);
    if (Buffer.compare(readFileSync(path), chain.bytes(chain.tip)) === 0) return;
    this.#violated("I6", `${process.name} has another ${replica.name} than the chain`);
  }

  #checkIntegrity(name: string, database: Database): void {
    const verdict = database.query("PRAGMA integrity_check").values().join();
    if (verdict !== "ok") this.#violated("I6", `${name}: ${verdict}`);
    database.close();
  }

  #violated(invariant: string, what: string): void {
    this.#isOver = true;
    this.#parts.violated(invariant, what);
  }
}
