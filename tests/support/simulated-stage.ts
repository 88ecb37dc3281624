/**
 * A stage for stories: the same processes, bucket and clock as in the world, but what happens is
 * written down beforehand, and what follows from it is told in plain text.
 */
import { drainMicrotasks } from "bun:jsc";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, isFailure } from "../../src/base/failure.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { seededRandom } from "../../src/base/random.ts";
import { decodeHeader } from "../../src/epoch/header.ts";
import { parseObjectKey } from "../../src/epoch/key.ts";
import { SYSTEM_DATABASE } from "../../src/epoch/name.ts";
import { pruneBelow } from "../../src/replica/prune.ts";
import { Bucket } from "./simulated-bucket.ts";
import { SimulatedClock, Timeline } from "./simulated-clock.ts";
import { SimulatedProcess } from "./simulated-process.ts";
import type { SentRequest } from "./simulated-store.ts";
import { type Fault, Weather } from "./simulated-weather.ts";

const DATABASE = "orders";

export class Stage {
  readonly #timeline = new Timeline();
  readonly #directory = mkdtempSync(join(tmpdir(), "headgate-stage-"));
  readonly #random = seededRandom(1);
  readonly #weather: Weather;
  readonly #bucket: Bucket;
  readonly #processes = new Map<string, SimulatedProcess>();
  readonly #lines: string[];
  readonly violations: string[] = [];
  #saidAt = "";
  /** Set while the stage is being built, which is no part of the story. */
  #isQuiet = false;

  constructor(title: string, moral: readonly string[]) {
    this.#lines = [title, "=".repeat(title.length), "", ...moral, ""];
    this.#weather = new Weather(this.#random, {
      faultsPerMille: 0,
      latencyMsMax: 20,
      lateMsMax: 9_000,
    });
    const clock = new SimulatedClock(this.#timeline);
    this.#bucket = new Bucket(
      clock,
      (invariant, what) => void this.violations.push(`[${invariant}] ${what}`),
      (what) => this.#applied(what),
    );
  }

  get text(): string {
    return `${this.#lines.join("\n").trimEnd()}\n`;
  }

  /** Somebody founds a cluster with one database and one row; nobody hears of how. */
  found(owner: string): void {
    this.#isQuiet = true;
    this.start(owner);
    const { databases } = this.#process(owner);
    this.#await(databases.create(DATABASE, { pageSize: 512 }));
    this.#await(this.#execute(owner, "CREATE TABLE fruit (name TEXT)"));
    this.#isQuiet = false;
    this.note(`${owner} leads, owns ${DATABASE}, and its tip is ${this.#tip}.`);
  }

  start(node: string): void {
    this.#tell(`${node} starts`);
    const process = this.#newProcess(node);
    this.#processes.set(node, process);
    this.#await(process.start());
  }

  /** Claims the cluster, and the database with a write. */
  lead(node: string): void {
    this.#tell(`${node} hears nothing of the leader and claims`);
    const leads = this.#await(this.#process(node).lead());
    if (leads === false) this.#tell(`${node} has lost the race`);
  }

  write(node: string, name: string): void {
    this.#await(this.ask(node, name));
  }

  /** Without waiting for the answer. */
  async ask(node: string, name: string): Promise<void> {
    this.#tell(`client → ${node}: insert ${name}`);
    await this.#execute(node, `INSERT INTO fruit VALUES ('${name}')`);
  }

  rollback(node: string, epoch: number): void {
    this.#tell(`client → ${node}: roll ${DATABASE} back to epoch ${epoch}`);
    const { databases } = this.#process(node);
    this.#answered(
      node,
      this.#await(
        databases.rollback(DATABASE, { epoch }).then(
          (answer) => `done, epoch ${answer.epoch}`,
          told,
        ),
      ),
    );
  }

  /** What a node shows now. */
  read(node: string): void {
    this.#settle();
    const { image } = this.#process(node).catalog.peek(DATABASE)!;
    const rows = this.#await(
      image.read((database) => database.query("SELECT name FROM fruit").values().flat().join(", ")),
    );
    this.#tell(`${node} is at epoch ${image.head.epoch} and shows: ${rows}`);
  }

  claims(node: string): void {
    const { image } = this.#process(node).catalog.peek(DATABASE)!;
    const sql = "SELECT epoch, node FROM _headgate_claims ORDER BY epoch";
    const rows = this.#await(image.read((database) => database.query(sql).values()));
    const list = (rows ?? []).map(([epoch, owner]) => `${epoch} by ${owner}`).join(", ");
    this.#tell(`${node} knows the claims ${list}`);
  }

  sleep(node: string): void {
    this.#tell(`${node} falls asleep`);
    this.#process(node).clock.pause();
  }

  wake(node: string): void {
    this.#tell(`${node} wakes`);
    this.#process(node).clock.resume();
  }

  kill(node: string): void {
    this.#tell(`${node} is killed`);
    this.#process(node).crash();
  }

  /** What will become of the next object that the node creates. */
  plan(node: string, fault: Fault): void {
    this.#weather.planned.set(this.#process(node).name, [fault]);
  }

  snapshotAndPrune(node: string): void {
    const replica = this.#process(node).catalog.peek(DATABASE)!;
    this.#settle();
    this.#isQuiet = true;
    const snapshot = this.#await(replica.snapshotNow()) ?? 0;
    const count = this.#await(pruneBelow(replica.chain, snapshot));
    this.#isQuiet = false;
    this.#tell(`${node} writes a snapshot of epoch ${snapshot} and prunes ${count} objects below`);
  }

  pass(ms: number): void {
    let isOver = false;
    this.#timeline.schedule(ms, () => isOver = true);
    while (!isOver && this.#timeline.step());
  }

  note(text: string): void {
    if (this.#lines.at(-1) !== "") this.#lines.push("");
    this.#lines.push(text, "");
    this.#saidAt = "";
  }

  close(): void {
    for (const process of this.#processes.values()) process.crash();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Images follow the answers at once. */
  #settle(): void {
    this.pass(20);
  }

  get #tip(): number {
    return this.#bucket.chain(DATABASE).tip;
  }

  #process(node: string): SimulatedProcess {
    const process = this.#processes.get(node);
    if (!process) throw new Error(`there is no ${node} on the stage`);
    return process;
  }

  #newProcess(node: string): SimulatedProcess {
    return new SimulatedProcess({
      timeline: this.#timeline,
      bucket: this.#bucket,
      random: this.#random,
      log: this.#log(node),
      node,
      name: node,
      directory: join(this.#directory, node),
      skewMs: 0,
      lookMs: 0,
      slowReadsPercent: 0,
      snapshotAgeMsMax: Number.MAX_SAFE_INTEGER,
      pageKeys: () => 1_000,
      fate: (operation, _, sender) => this.#weather.fate(operation, sender),
      onRead: (_, bytes) => bytes,
      onSent: (request) => this.#sent(request),
      onHeard: (request, outcome) => this.#heard(request, outcome),
      onEvent: () => {},
      crashesAt: () => false,
      retentionMs: 60_000,
    });
  }

  async #execute(node: string, sql: string): Promise<void> {
    const { clock, databases } = this.#process(node);
    const deadlineMs = clock.monotonicMs() + 8_000;
    const request = { statements: [{ sql }], subject: "client", deadlineMs };
    const answer = await databases.execute(DATABASE, request)
      .then(({ epoch }) => `done, epoch ${epoch}`, told);
    if (!clock.isStopped) this.#answered(node, answer);
  }

  #answered(node: string, answer: string | undefined): void {
    this.#tell(`${node} → client: ${answer}`);
  }

  /** Time passes until `work` has come to an end. */
  #await<T>(work: Promise<T>): T | undefined {
    let result: T | undefined;
    let isOver = false;
    let failure: unknown = null;
    work.then((value) => result = value, (error) => failure = error).finally(() => isOver = true);
    const untilMs = this.#timeline.nowMs + 60_000;
    drainMicrotasks();
    while (!isOver && this.#timeline.nowMs < untilMs && this.#timeline.step());
    if (!isOver) throw new Error("the story does not go on");
    if (failure !== null) throw failure;
    return result;
  }

  #sent(request: SentRequest): void {
    const epoch = epochOf(request);
    if (epoch) this.#tell(`${request.sender} → store: create ${epoch}`);
  }

  /** What arrives when its sender is gone is told by the store. */
  #applied(what: string): void {
    const [sender = "", operation, key = "", outcome] = what.split(" ");
    const epoch = operation === "create" ? parseObjectKey("s3", key) : null;
    if (!epoch || epoch.level !== 0 || !this.#processes.get(sender)?.clock.isStopped) return;
    const said = outcome === "created" ? "created" : "refused, since it exists";
    this.#tell(`${sender}'s request arrives: epoch ${epoch.max} of ${epoch.database} is ${said}`);
  }

  #heard(request: SentRequest, outcome: unknown): void {
    const epoch = epochOf(request);
    if (!epoch) return;
    const heard = outcome === "uncertain" ? "no answer" : String(outcome);
    this.#tell(`store → ${request.sender}: ${epoch.split(",")[0]} ${heard}`);
  }

  #log(node: string): Log {
    return {
      ...silentLog,
      debug: (message, fields) => {
        if (message !== "replica" || fields?.["database"] !== DATABASE) return;
        this.#tell(`${node} is now ${fields["to"]} (${fields["event"]})`);
      },
    };
  }

  #tell(line: string): void {
    if (this.#isQuiet) return;
    const at = `${(this.#timeline.nowMs / 1000).toFixed(1)} s`;
    this.#lines.push(`${(at === this.#saidAt ? "" : at).padStart(9)}  ${line}`);
    this.#saidAt = at;
  }
}

/** "epoch 4 of orders, data"; null for requests that are no part of a story. */
function epochOf({ operation, key, bytes }: SentRequest): string | null {
  const name = operation === "create" ? parseObjectKey("s3", key) : null;
  if (!name || !bytes || name.level !== 0) return null;
  const { kind } = decodeHeader(bytes, key);
  if (name.database === SYSTEM_DATABASE && kind !== "claim") return null;
  return `epoch ${name.max} of ${name.database}, ${kind}`;
}

function told(error: unknown): string {
  return isFailure(error) ? `${error.kind}: ${describe(error)}` : `bug: ${error}`;
}
