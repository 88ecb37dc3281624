/** An owner over a workspace of words and a store that a test tells what to do. */
import { Appender } from "../../../src/replica/appender.ts";
import { type Chain, epochKey } from "../../../src/replica/chain.ts";
import { Owner } from "../../../src/replica/owner.ts";
import type { Parts } from "../../../src/replica/parts.ts";
import type { WriteAnswer } from "../../../src/replica/write-queue.ts";
import { Bench } from "./bench.ts";
import { WorkspaceDouble } from "./workspace-double.ts";

const TIP = { epoch: 4, fileChecksum: 4n, databaseChecksum: 0n, timestampMs: 0 };

export class OwnerHarness extends Bench {
  readonly chain: Chain = { store: this.store, layout: "s3", name: "orders" };
  readonly appender: Appender;
  readonly owner: Owner;
  readonly epochs: number[] = [];
  readonly mismatches: unknown[] = [];
  fencedTimes = 0;
  workspace = new WorkspaceDouble(4);
  /** Why the workspace cannot be made anew, while it cannot. */
  reopenFails: Error | null = null;
  /** Set by a test: the workspace is made anew when it resolves. */
  reopens: Promise<void> = Promise.resolve();

  constructor(override: Partial<Parts> = {}) {
    super();
    const { parts } = this.node("n1", override);
    this.appender = new Appender(parts, this.chain, TIP, () => void this.owner.refused());
    this.owner = new Owner(parts, {
      chain: this.chain,
      nodeId: 7n,
      appender: this.appender,
      workspace: this.workspace,
      // Epochs go into the image elsewhere; here it is always being read anew.
      image: () => null,
      reopenWorkspace: async () => {
        if (this.reopenFails) throw this.reopenFails;
        await this.reopens;
        return this.workspace = new WorkspaceDouble(this.appender.tip.epoch);
      },
      onEpoch: ({ number }) => void this.epochs.push(number),
      onMismatch: (cause) => void this.mismatches.push(cause),
      onFenced: () => void this.fencedTimes++,
    });
  }

  key(epoch: number): string {
    return epochKey(this.chain, epoch);
  }

  /** One request; its promise never goes unhandled. */
  submit(word: string, timeoutMs = 60_000): Promise<WriteAnswer> {
    const answer = this.owner.submit(this.write(word, [], timeoutMs));
    answer.catch(() => {});
    return answer;
  }

  /** Epochs of the answers, or kinds of the failures. */
  async outcomes(answers: readonly Promise<WriteAnswer>[]): Promise<(number | string)[]> {
    const all = answers.map((one) =>
      one.then(({ epoch }) => epoch, (error) => error.kind ?? "bug")
    );
    return await this.settle(Promise.all(all));
  }

  /** Somebody else's epoch, as after a claim. */
  async takenByOther(epoch: number): Promise<void> {
    await this.store.memory.create(this.key(epoch), new TextEncoder().encode("theirs"));
  }
}
