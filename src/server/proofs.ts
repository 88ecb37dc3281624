/**
 * That a process or a leader on the network belongs to this cluster is proved by this node's own
 * store (I13): a copied bucket with the same secret has another process's nonce, and another claim's
 * random number. Each is asked once for each process and each claim.
 */
import { decodeHeader, HEADER_BYTES } from "../epoch/header.ts";
import { type Layout, objectKey } from "../epoch/key.ts";
import { SYSTEM_DATABASE } from "../epoch/name.ts";
import type { Store } from "../store/store.ts";
import { readBrokerFile } from "./cluster-files.ts";

/** Proofs that are remembered; more processes than that are asked for again. */
const PROVED_MAX = 4_096;

export class Proofs {
  readonly #store: Store;
  readonly #layout: Layout;
  readonly #proved = new Map<string, Promise<unknown>>();
  readonly #expected = new Set<string>();

  constructor(store: Store, layout: Layout) {
    this.#store = store;
    this.#layout = layout;
  }

  /** Whether the node's file in this store holds the nonce that a process of it has drawn. */
  process(node: string, nonce: string): Promise<boolean> {
    return this.#once(`process ${node} ${nonce}`, async () => {
      const file = await readBrokerFile(this.#store, node);
      return file?.nonce === nonce;
    });
  }

  /** A process that may soon have to be believed: in an election there is no time for a GET. */
  expect(node: string, nonce: string): void {
    const what = `${node} ${nonce}`;
    if (this.#expected.has(what)) return;
    if (this.#expected.size >= PROVED_MAX) this.#expected.clear();
    this.#expected.add(what);
    // Whoever needs the proof asks again, and hears why there is none.
    this.process(node, nonce).catch(() => {});
  }

  /** Whether epoch `claim` of `system` in this store is a claim with that random number. */
  async claim(claim: number, id: string): Promise<boolean> {
    return await this.#claimId(claim) === id;
  }

  /** Its owner is being called: what it will say of its claim is read meanwhile. */
  expectClaim(claim: number): void {
    this.#claimId(claim).catch(() => {});
  }

  /** The random number of that claim in this store; null where there is no such claim. */
  #claimId(claim: number): Promise<string | null> {
    return this.#once(`claim ${claim}`, async () => {
      const key = objectKey(this.#layout, SYSTEM_DATABASE, 0, claim, claim);
      const start = await this.#store.getRange(key, { offset: 0, length: HEADER_BYTES });
      if (start === null) return null;
      const { kind, nodeId } = decodeHeader(start, key);
      return kind === "claim" ? claimId(nodeId) : null;
    });
  }

  /** What was not found is asked for again: it may be there a moment later. */
  async #once<T>(what: string, prove: () => Promise<T>): Promise<T> {
    const known = this.#proved.get(what) as Promise<T> | undefined;
    if (known) return await known;
    if (this.#proved.size >= PROVED_MAX) this.#proved.clear();
    const proving = prove();
    this.#proved.set(what, proving);
    try {
      const isProved = await proving;
      if (!isProved) this.#proved.delete(what);
      return isProved;
    } catch (error) {
      this.#proved.delete(what);
      throw error;
    }
  }
}

/** The random number of a claim as it crosses the network. */
export function claimId(nodeId: bigint): string {
  return nodeId.toString(16).padStart(16, "0");
}
