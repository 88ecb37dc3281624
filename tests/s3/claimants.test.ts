/**
 * Two hundred claimants in a handful of processes race for one chain on a real S3 server: the store
 * decides, and at every epoch there is exactly one owner.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClaimantReport, RACED } from "../support/claimant.ts";
import { judgeRace, walkChain } from "../support/claimant-judge.ts";
import type { RacerOptions } from "../support/claimant-racer.ts";
import { hasS3, s3Server } from "../support/s3-server.ts";
import { seededRandom } from "../support/seed.ts";
import { StoredChains } from "../support/stored-chains.ts";

const PROCESSES = 5;
const CLAIMANTS = 40;
const CALM_MS = 10_000;
/** Whichever comes first ends the race. */
const EPOCHS_MAX = 150;
const RACE_MS = 25_000;

const directory = mkdtempSync(join(tmpdir(), "headgate-claimants-"));
const server = await s3Server();
const { random, seed } = seededRandom();
console.log(`claimants.test.ts: SEED=${seed}`);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.skipIf(!hasS3(server))("two hundred claimants of one chain", () => {
  test(
    "are one owner at every epoch, and each was told the truth [I2, I5, I7, I8]",
    async () => {
      if (!hasS3(server)) return;
      const store = server.settings();
      const startedMs = performance.now();
      const reports = await race(Array.from({ length: PROCESSES }, (_, index) => ({
        store,
        directory,
        name: `p${index + 1}`,
        claimants: CLAIMANTS,
        seed: random.below(2 ** 31),
        calmMs: CALM_MS,
        epochsMax: EPOCHS_MAX,
        raceMs: RACE_MS,
      })));
      const racedMs = Math.round(performance.now() - startedMs);
      const chains = await StoredChains.open(store);
      const walked = await walkChain(chains.chain(RACED), directory);
      expect(judgeRace(walked, reports)).toEqual([]);
      const facts = factsOf(reports);
      const claims = walked.filter(({ kind }) => kind === "claim").length;
      console.log(`${walked.length} epochs, ${claims} claims, ${racedMs} ms`, facts);
      // It was a race: all took part, most lost most of the time, and owners had time to write.
      expect(reports.length).toBe(PROCESSES * CLAIMANTS);
      expect(facts.owners).toBeGreaterThan(5);
      expect(facts.acknowledged).toBeGreaterThan(5);
      expect(facts.attempts).toBeGreaterThan(2 * claims);
      await chains.close();
    },
    120_000,
  );
});

/** Starts all processes, lets them go at once, and resolves with what every claimant reports. */
async function race(all: readonly RacerOptions[]): Promise<ClaimantReport[]> {
  const script = join(import.meta.dir, "../support/claimant-racer.ts");
  const racers = all.map((options) => {
    const child = Bun.spawn([process.execPath, script], {
      // It holds keys, which everybody could see among the arguments.
      env: { ...process.env, HEADGATE_TEST_RACER: JSON.stringify(options) },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    return { child, lines: linesOf(child.stdout) };
  });
  try {
    const line = async ({ lines }: (typeof racers)[number]) => (await lines.next()).value ?? "";
    expect(await Promise.all(racers.map(line))).toEqual(racers.map(() => "ready"));
    for (const { child } of racers) child.stdin.write("go\n");
    for (const { child } of racers) child.stdin.flush();
    const reports = await Promise.all(racers.map(line));
    return reports.flatMap((report) => JSON.parse(report) as ClaimantReport[]);
  } finally {
    for (const { child } of racers) child.kill();
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    const lines = (text + decoder.decode(bytes, { stream: true })).split("\n");
    text = lines.pop() ?? "";
    yield* lines;
  }
}

function factsOf(reports: readonly ClaimantReport[]) {
  const writes = reports.flatMap((report) => report.writes);
  const told = (outcome: string) => writes.filter((write) => write.outcome === outcome).length;
  return {
    attempts: reports.reduce((sum, { attempts }) => sum + attempts, 0),
    failed: reports.reduce((sum, { failed }) => sum + failed, 0),
    won: reports.reduce((sum, { won }) => sum + won.length, 0),
    owners: reports.filter(({ won }) => won.length > 0).length,
    acknowledged: told("acknowledged"),
    refused: told("refused"),
    unknown: told("unknown"),
  };
}
