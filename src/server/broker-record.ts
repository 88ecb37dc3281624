/** This node's own file in `cluster_state/brokers/`, and whose it is. */
import { Failure } from "../base/failure.ts";
import { STORE_ATTEMPTS_MAX } from "../base/limits.ts";
import { Turns } from "../base/turns.ts";
import { brokerKey } from "../epoch/key.ts";
import {
  type BrokerFile,
  encodeFile,
  type FilesParts,
  FORMAT,
  parseFile,
  readBrokerFile,
} from "./cluster-files.ts";

export interface BrokerRecordParts extends FilesParts {
  /** Whether a process with this node's id answers at that address. */
  isSelfAt(address: string): Promise<boolean>;
}

/**
 * Writes this node's own file. Throws `conflict` when it holds the nonce of another process: a
 * newer one runs with our id, or an older one that answers and must not lose its file to us.
 */
export class BrokerRecord {
  readonly #parts: BrokerRecordParts;
  #etag: string | null | undefined = undefined;
  /** This process's nonce has been in the file: whoever replaces it has started later. */
  #isWritten = false;
  /** One after another: what is removed last stays removed. */
  readonly #turns = new Turns();

  constructor(parts: BrokerRecordParts) {
    this.#parts = parts;
  }

  write(facts: Omit<BrokerFile, "format" | "at">): Promise<void> {
    return this.#turns.take(() => this.#write(facts));
  }

  /** Takes the file away, if this process wrote it. */
  remove(of: Pick<BrokerFile, "node" | "nonce">): Promise<void> {
    return this.#turns.take(() => this.#remove(of));
  }

  async #write(facts: Omit<BrokerFile, "format" | "at">): Promise<void> {
    const { store, clock } = this.#parts;
    const key = brokerKey(facts.node);
    const at = new Date(clock.nowMs()).toISOString();
    const bytes = encodeFile({ format: FORMAT, ...facts, at });
    for (let attempt = 1; attempt <= STORE_ATTEMPTS_MAX; attempt++) {
      if (this.#etag === undefined) this.#etag = await this.#leftEtag(key, facts);
      const etag = await store.replace(key, bytes, this.#etag);
      if (etag !== null) {
        this.#etag = etag;
        this.#isWritten = true;
        return;
      }
      const found = await store.get(key);
      this.#etag = found?.etag ?? null;
      const other = found && parseFile<BrokerFile>(key, found.bytes);
      // Our own nonce: the answer to an earlier write was lost, and it counts.
      if (other?.nonce === facts.nonce) {
        this.#isWritten = true;
        continue;
      }
      if (other && this.#isWritten) {
        throw new Failure(
          "conflict",
          `The node id ${facts.node} is in use by another process at ${other.address}`,
        );
      }
      // Written between our two requests: it is judged like one that was there before.
      this.#etag = undefined;
    }
    throw new Failure("unavailable", `Cannot write ${key}: it changes all the time`);
  }

  /** The first write of a process replaces whatever an earlier one left, unless that one lives. */
  async #leftEtag(key: string, { node, address }: Omit<BrokerFile, "format" | "at">) {
    const found = await this.#parts.store.get(key);
    if (!found) return null;
    const left = parseFile<BrokerFile>(key, found.bytes);
    if (left.address !== address && await this.#parts.isSelfAt(left.address)) {
      throw new Failure(
        "conflict",
        `Cannot start: the node id ${node} is in use at ${left.address}; ` +
          "delete the file at cluster_mode.node_id_path for a new one",
      );
    }
    return found.etag;
  }

  async #remove({ node, nonce }: Pick<BrokerFile, "node" | "nonce">): Promise<void> {
    const { store } = this.#parts;
    if ((await readBrokerFile(store, node))?.nonce === nonce) await store.remove([brokerKey(node)]);
    this.#etag = undefined;
    this.#isWritten = false;
  }
}
