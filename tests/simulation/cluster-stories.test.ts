/**
 * Who leads, told: one story for each rule of section 8 of the protocol, as the product plays it.
 * `UPDATE=1` tells them anew; read what has changed before it is committed.
 */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ClusterStage } from "../support/cluster-stage.ts";

function story(
  file: string,
  title: string,
  moral: readonly string[],
  play: (stage: ClusterStage) => void,
): void {
  test(`the story "${title}" goes as it is told`, () => {
    const stage = new ClusterStage(title, moral);
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

story("process-gone", "The process is gone", [
  "A process that dies closes its links, and its port refuses. A standby that is refused twice asks",
  "the others whether they hear the leader; nobody does, so the first in rank claims at once, and",
  "the next one, 150 ms behind, finds that it has been done.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.kill("ann");
  stage.pass(3_000);
  stage.note("She comes back, and finds that another node leads.");
  stage.start("ann");
  stage.pass(3_000);
  stage.sum();
});

story("refused-is-not-dead", "Refused is not dead", [
  "A firewall between the leader and one standby refuses as a dead process does. But the other node",
  "still hears the leader, and says so: nobody claims.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.between("ann", "bob", "refusing");
  stage.pass(5_000);
  stage.sum();
  stage.between("ann", "bob", "open");
  stage.pass(5_000);
  stage.sum();
});

story("a-silent-host", "A silent host", [
  "The leader's host is gone without a word: nothing is closed, nothing is refused. Standbys watch",
  "the store, where a leader that somebody may not hear would write each second. Nothing moves.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.note("Both the network and the store lose her.");
  stage.cutOff("ann");
  stage.around("ann", "silent");
  stage.pass(12_000);
  stage.sum();
  stage.note("She comes back, and finds out.");
  stage.reconnect("ann");
  stage.around("ann", "open");
  stage.pass(10_000);
  stage.sum();
});

story("one-cut-off", "One is cut off", [
  "Only one standby hears the leader no more, and without a word. The leader misses its answers too,",
  "and writes its heartbeat each second; the standby sees that and follows through the store.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.between("ann", "bob", "silent");
  stage.pass(60_000);
  stage.sum();
  stage.between("ann", "bob", "open");
  stage.pass(10_000);
  stage.sum();
});

story("a-leader-without-a-store", "A leader without a store", [
  "The leader hears everybody but not the store, and says so with its pings. A standby whose own",
  "store answers watches it: heartbeat and chain stand still, so it claims.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.cutOff("ann");
  stage.pass(60_000);
  stage.sum();
  stage.reconnect("ann");
  stage.pass(15_000);
  stage.sum();
});

story("a-leader-without-peers", "A leader without peers", [
  "The leader hears nobody, but the store. Others live, so it makes way: it resigns once and ranks",
  "last. If nobody else can claim, it does so again, and stays, until it has had a link.",
], (stage) => {
  stage.found("ann", { bob: {} });
  stage.note("Bob hears neither her nor the store.");
  stage.cutOff("bob");
  stage.between("ann", "bob", "silent");
  stage.pass(90_000);
  stage.sum();
  stage.note("Bob is back.");
  stage.reconnect("bob");
  stage.between("ann", "bob", "open");
  stage.pass(20_000);
  stage.sum();
});

story("makes-way", "She makes way", [
  "The leader hears nobody, but the others hear each other and the store. After ten seconds it",
  "resigns, and the first of them claims without asking.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.around("ann", "silent");
  stage.pass(40_000);
  stage.sum();
  stage.around("ann", "open");
  stage.pass(10_000);
  stage.sum();
});

story("deposed-while-asleep", "Deposed while asleep", [
  "The leader sleeps; its host keeps the connections, and nothing moves. It is claimed. When it wakes",
  "it knows that it stood still, asks the chain before all else, and stands by.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.sleep("ann");
  stage.pass(20_000);
  stage.wake("ann");
  stage.pass(5_000);
  stage.sum();
});

story("two-that-cannot-meet", "Two that cannot meet", [
  "Two nodes reach the store but never each other. Each makes way once for want of links; then one",
  "leads and the other follows through the store. There is no war.",
], (stage) => {
  stage.found("ann", { bob: {} });
  stage.between("ann", "bob", "silent");
  stage.pass(300_000);
  stage.sum();
});

story("two-that-refuse", "Two that refuse each other", [
  "Each finds the other's port closed and has nobody to ask, so each takes it for dead. A node that",
  "was deposed soon after its own claim waits before the next one, twice as long each time.",
], (stage) => {
  stage.found("ann", { bob: {} });
  stage.between("ann", "bob", "refusing");
  stage.pass(60_000);
  stage.sum();
});

story("stepping-down", "Stepping down", [
  "A planned hand-over: the leader names its successor in its last epoch, which goes down the links;",
  "the successor claims on receiving it.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.stepDown("ann", "cid");
  stage.pass(3_000);
  stage.sum();
});

story("the-last-put", "The last PUT of a dead leader", [
  "It lands after its sender's death, on the number that the successor claims. Data is nobody's claim:",
  "the successor applies it and claims the next number at once.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: {} });
  stage.plan("ann", { arrivesMs: 40, answersMs: null, answer: "true" });
  stage.write("ann");
  stage.pass(10);
  stage.kill("ann");
  stage.pass(3_000);
  stage.sum();
});

story("she-lives", "She lives", [
  "Everybody is refused by the leader, which lives and writes. The first claim that is lost to data",
  "may be a dead leader's last PUT; the second one proves that it lives, and is the last try.",
], (stage) => {
  stage.found("ann", { bob: {}, cid: { eligible: false } });
  stage.around("ann", "refusing");
  stage.writeAllTheTime("ann", 1_000);
  stage.sum();
});

story("a-copied-bucket", "A copied bucket", [
  "Somebody copies the whole bucket, the secret with it, and starts a node on the copy. It finds the",
  "addresses of the original and calls. But its process is in no file of theirs, and their claims",
  "are not its own: nobody joins anybody [I13].",
], (stage) => {
  stage.found("ann", { bob: {} });
  stage.startOnCopy("dan");
  stage.pass(200_000);
  stage.sum();
});
