/**
 * Stories that people should read, in `stories/*.txt`. Each is told by the product itself: when it
 * behaves otherwise, the story no longer matches. `UPDATE=1` writes them anew.
 */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Stage } from "../support/simulated-stage.ts";

function story(
  file: string,
  title: string,
  moral: readonly string[],
  play: (stage: Stage) => void,
): void {
  test(`the story "${title}" goes as it is told`, () => {
    const stage = new Stage(title, moral);
    try {
      play(stage);
      expect(stage.violations).toEqual([]);
      const path = join(import.meta.dirname, "stories", `${file}.txt`);
      if (process.env["UPDATE"] !== undefined) writeFileSync(path, stage.text);
      expect(stage.text).toBe(readFileSync(path, "utf8"));
    } finally {
      stage.close();
    }
  });
}

story("an-answer-lost", "An answer lost", [
  "The store applied a PUT and its answer never came. The owner neither gives up nor sends it to",
  "another number: it reads its own number back, finds its own bytes, and has won [I7].",
], (stage) => {
  stage.found("ann");
  stage.plan("ann", "answer lost");
  stage.write("ann", "apple");
  stage.read("ann");
  stage.note("A proxy may also send a PUT twice; the second is told that the key exists.");
  stage.plan("ann", "sent twice");
  stage.write("ann", "banana");
  stage.read("ann");
});

story("a-dead-owners-late-put", "A dead owner's late PUT", [
  "A request of a dead process may still be on its way. If nobody has taken its number by then, it",
  "becomes the genuine next epoch, and its client was never told otherwise. If somebody has, the",
  "store refuses it. Either way there is one chain.",
], (stage) => {
  stage.found("ann");
  stage.start("bob");
  stage.plan("ann", "applied late");
  void stage.ask("ann", "apple");
  stage.pass(500);
  stage.kill("ann");
  stage.note("Her epoch is still on its way. Bob takes over before it arrives.");
  stage.lead("bob");
  stage.write("bob", "banana");
  stage.pass(12_000);
  stage.read("bob");
  stage.note("The same again, but nobody has taken the number when it arrives.");
  stage.start("cid");
  stage.plan("bob", "applied late");
  void stage.ask("bob", "cherry");
  stage.pass(500);
  stage.kill("bob");
  stage.pass(12_000);
  stage.lead("cid");
  stage.write("cid", "damson");
  stage.read("cid");
});

story("the-sleeper", "The sleeper", [
  "An owner sleeps for longer than anything is kept. Meanwhile others own its chain, write to it,",
  "and prune it. It wakes without knowing. But its next number is by construction its successor's",
  "claim, and claims are never pruned: it is refused before it can do harm [I4].",
], (stage) => {
  stage.found("ann");
  stage.write("ann", "apple");
  stage.start("bob");
  stage.sleep("ann");
  stage.pass(1_000);
  stage.lead("bob");
  stage.write("bob", "banana");
  stage.write("bob", "cherry");
  stage.snapshotAndPrune("bob");
  stage.pass(60_000);
  void stage.ask("ann", "a rotten apple");
  stage.wake("ann");
  stage.pass(15_000);
  stage.note("Ann follows in the same process, with what she missed.");
  stage.read("ann");
  stage.read("bob");
});

story("rollback-carries-claims", "A rollback carries claims", [
  "A rollback makes the content of another moment the newest. What the machinery knows is carried",
  "forward, never back [I14]: if a rollback forgot a claim, pruning would delete its object, and a",
  "sleeper would be told that its number is free.",
], (stage) => {
  stage.found("ann");
  stage.write("ann", "apple");
  stage.start("bob");
  stage.sleep("ann");
  stage.lead("bob");
  stage.write("bob", "banana");
  stage.claims("bob");
  stage.rollback("bob", 3);
  stage.read("bob");
  stage.claims("bob");
  stage.snapshotAndPrune("bob");
  void stage.ask("ann", "a rotten apple");
  stage.wake("ann");
  stage.pass(15_000);
  stage.read("ann");
});
