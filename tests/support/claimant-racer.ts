/**
 * A process of claimants, its options as JSON in HEADGATE_TEST_RACER. Says "ready", waits for a line
 * so that all processes begin at once, races, and prints what each claimant was told, as JSON.
 */
import { systemClock } from "../../src/base/clock.ts";
import { seededRandom } from "../../src/base/random.ts";
import { openS3Store } from "../../src/store/s3.ts";
import type { S3Settings } from "../../src/store/url.ts";
import { Claimant } from "./claimant.ts";

export interface RacerOptions {
  readonly store: S3Settings;
  readonly directory: string;
  /** Name of this process; its claimants are numbered. */
  readonly name: string;
  readonly claimants: number;
  readonly seed: number;
  readonly calmMs: number;
  /** The race is over at this epoch, or after this time. */
  readonly epochsMax: number;
  readonly raceMs: number;
}

const options = JSON.parse(process.env["HEADGATE_TEST_RACER"] ?? "") as RacerOptions;
const store = openS3Store(options.store, { clock: systemClock });
const random = seededRandom(options.seed);
let endsAtMs = Infinity;
const claimants = Array.from({ length: options.claimants }, (_, index) =>
  new Claimant({
    node: `${options.name}-${index + 1}`,
    store,
    directory: options.directory,
    random,
    calmMs: options.calmMs,
    isOver: (epoch) => epoch >= options.epochsMax || performance.now() > endsAtMs,
  }));
process.stdout.write("ready\n");
await new Promise((resolve) => process.stdin.once("data", resolve));
endsAtMs = performance.now() + options.raceMs;
const reports = await Promise.all(claimants.map((claimant) => claimant.run()));
await store.close();
process.stdout.write(`${JSON.stringify(reports)}\n`, () => process.exit(0));
