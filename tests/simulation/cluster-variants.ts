/** Changes that break a rule of elections, links or forwarding, for the simulated cluster to find. */
import type { Change } from "./variants.ts";

interface ClusterVariant {
  readonly name: string;
  readonly breaks: string;
  readonly seedsMax: number;
  readonly changes: readonly Change[];
}

export const CLUSTER_CHANGES: readonly ClusterVariant[] = [
  {
    name: "a write of unknown outcome is forwarded again",
    breaks: "I7",
    seedsMax: 60,
    changes: [{
      file: "src/server/forwarding.ts",
      find: `(isSafe && isUncertain)`,
      put: `isUncertain`,
    }],
  },
  {
    name: "a follower with a link goes on polling",
    breaks: "section 6",
    seedsMax: 4,
    changes: [{
      file: "src/replica/poll.ts",
      find: "this.#isAsleep = this.#isResting && !failed && !this.#isStartedAgain;",
      put: "this.#isAsleep = false;",
    }],
  },
  {
    name: "what is pushed is not looked for where a link is new",
    breaks: "section 6",
    seedsMax: 40,
    changes: [{
      file: "src/replica/poll.ts",
      find: "    this.stop();\n    this.#schedule(isPushed ? 0 : POLL_MS_MIN, ++this.#run);",
      put: "    this.stop();\n    if (isPushed) this.#isAsleep = true;\n" +
        "    else this.#schedule(POLL_MS_MIN, ++this.#run);",
    }],
  },
  {
    name: "a standby that is refused asks nobody, and no node waits between claims",
    breaks: "section 8",
    seedsMax: 80,
    changes: [{
      file: "src/server/standing-by.ts",
      find: `isSeen: claim !== undefined && await this.#options.links.ask(claim) }`,
      put: `isSeen: claim === undefined }`,
    }, {
      file: "src/election/damping.ts",
      find: "if (ledMs >= SOON_MS) return 0;",
      put: "if (ledMs >= 0) return 0;",
    }],
  },
];
