/**
 * A workspace inside its child process: one SQLite database, the open batch, and what it has become
 * by the last take. Every call runs to its end; a deadline is the parent's business.
 */
import { statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import { MESSAGE_BYTES_MAX, WORKSPACE_CHECKPOINT_BYTES } from "../base/limits.ts";
import { encodeEpoch } from "../epoch/encode.ts";
import { Batch, type BatchOutcome } from "./batch.ts";
import { rewriteDatabase } from "./rewrite.ts";
import { RequestRunner } from "./run-request.ts";
import { emptyLog, type OpenDatabase, openWorkspaceDatabase } from "./workspace-database.ts";
import type { FromWriter, ToWriter, WriterAnswer, WriterEpoch } from "./writer-message.ts";

type Message<Kind extends ToWriter["kind"]> = Extract<ToWriter, { readonly kind: Kind }>;

/** Facts of the last taken epoch; all zero before the first. */
interface Tip {
  readonly epoch: number;
  readonly fileChecksum: bigint;
  readonly timestampMs: number;
}

/** Answers that wait before they are sent although more requests are to run. */
const ANSWERS_WAITING_MAX = 512;

export class WriterSession {
  readonly #send: (message: FromWriter) => void;
  readonly #options: Message<"open">;
  readonly #open: OpenDatabase;
  readonly #batch: Batch;
  #answers: WriterAnswer[] = [];
  #files = 0;
  #tip: Tip;

  /** Throws `corrupt` when the file is not what the message says. */
  constructor(options: Message<"open">, send: (message: FromWriter) => void) {
    this.#send = send;
    this.#options = options;
    const { head, path, pageSize, isCopy } = options;
    this.#tip = {
      epoch: head?.epoch ?? 0,
      fileChecksum: BigInt(head?.fileChecksum ?? 0),
      timestampMs: head?.timestampMs ?? 0,
    };
    const facts = head && { ...head, databaseChecksum: BigInt(head.databaseChecksum) };
    this.#open = openWorkspaceDatabase({ path, pageSize, head: facts, isCopy });
    const { database, capture } = this.#open;
    const mapped = Bun.mmap(options.progressPath, { shared: true });
    const progress = new Uint32Array(mapped.buffer, mapped.byteOffset, 1);
    this.#batch = new Batch({
      database,
      capture,
      pageSize,
      runner: new RequestRunner(database),
      freeBytes: () => {
        const { bavail, bsize } = statfsSync(options.directory);
        return bavail * bsize;
      },
      onProgress: (serial) => progress[0] = serial,
      onOutcome: (outcome) => this.#answer(outcome),
      onAgain: () => {
        this.#answers = [];
        send({ kind: "again" });
      },
    }, this.#tip.epoch + 1);
  }

  execute(message: Message<"execute">): void {
    const { database, capture } = this.#open;
    if (this.#isOver) return;
    const logBytes = capture.position?.offset ?? 0;
    if (!this.#batch.isOpen && !capture.hasChanges && logBytes > WORKSPACE_CHECKPOINT_BYTES) {
      emptyLog(database);
      capture.forgetLog();
    }
    const { serial, nowMs, alone, epochBytesMax, requests } = message;
    this.#batch.add(
      requests.map((request, index) => ({ serial: serial + index, request, nowMs })),
      { alone, epochBytesMax },
    );
    this.#flush();
    this.#reportOverflow();
  }

  take(message: Message<"take">): void {
    if (this.#isOver) return;
    this.#batch.commit(message.epochBytesMax);
    this.#flush();
    if (this.#reportOverflow()) return;
    const { capture } = this.#open;
    const epoch = capture.hasChanges ? this.#encode(message) : null;
    const position = capture.position;
    this.#send({
      kind: "taken",
      epoch,
      logEnd: position && {
        offset: position.offset,
        salt0: position.salt0,
        salt1: position.salt1,
      },
      mustCut: this.#batch.mustCut,
    });
    this.#batch.close(this.#tip.epoch + 1);
  }

  rewrite(message: Message<"rewrite">): void {
    assert(!this.#batch.isOpen, "a database is rewritten between batches");
    const { pageSize, directory, path } = this.#options;
    const contentPath = join(directory, "content.db");
    const number = this.#tip.epoch + 1;
    const timestampMs = Math.max(message.timestampMs, this.#tip.timestampMs + 1);
    const outputPath = join(directory, `rewrite-${number}.ltx`);
    const rewritten = rewriteDatabase({
      workspace: this.#open.database,
      sourcePath: message.sourcePath,
      contentPath,
      outputPath,
      keepRequests: message.keepRequests,
      schemaCookie: (this.#open.capture.schemaCookie + 1) >>> 0,
      header: {
        pageSize,
        minEpoch: number,
        maxEpoch: number,
        timestampMs,
        nodeId: BigInt(message.nodeId),
        link: this.#tip.fileChecksum,
        kind: message.epochKind,
      },
      what: path,
    });
    this.#send({
      kind: "rewritten",
      path: outputPath,
      size: rewritten.size,
      number,
      fileChecksum: String(rewritten.fileChecksum),
      databaseChecksum: String(rewritten.databaseChecksum),
      timestampMs,
    });
  }

  /** Of one that was for warming up; all others end with their process. */
  close(): void {
    this.#open.database.close();
  }

  /** The parent will end this process; what still comes is for the next. */
  get #isOver(): boolean {
    return this.#batch.overflow !== null || this.#batch.mustCut && !this.#batch.isOpen;
  }

  #encode(message: Message<"take">): WriterEpoch {
    const number = this.#tip.epoch + 1;
    const { pages, commit, databaseChecksum } = this.#open.capture.take(number);
    const timestampMs = Math.max(message.timestampMs, this.#tip.timestampMs + 1);
    const { bytes, fileChecksum } = encodeEpoch({
      pageSize: this.#options.pageSize,
      commit,
      minEpoch: number,
      maxEpoch: number,
      timestampMs,
      nodeId: BigInt(message.nodeId),
      databaseChecksum,
      link: this.#tip.fileChecksum,
      kind: message.epochKind,
    }, pages);
    this.#tip = { epoch: number, fileChecksum, timestampMs };
    return {
      epoch: number,
      commit,
      bytes: bytes.length <= MESSAGE_BYTES_MAX
        ? { base64: bytes.toBase64() }
        : { path: this.#writeFile(bytes) },
      databaseChecksum: String(databaseChecksum),
      fileChecksum: String(fileChecksum),
      timestampMs,
    };
  }

  #answer(outcome: BatchOutcome): void {
    this.#answers.push(this.#wireAnswer(outcome));
    if (this.#answers.length >= ANSWERS_WAITING_MAX) this.#flush();
  }

  #wireAnswer(outcome: BatchOutcome): WriterAnswer {
    switch (outcome.kind) {
      case "done":
        if (outcome.result.length <= MESSAGE_BYTES_MAX) return outcome.result;
        return { file: this.#writeFile(outcome.result) };
      case "replayed":
        return { replayed: outcome.answer };
      case "failed":
        return { failed: outcome.failure };
      case "putOff":
        return { putOff: true };
    }
  }

  #flush(): void {
    if (this.#answers.length === 0) return;
    this.#send({ kind: "answers", answers: this.#answers });
    this.#answers = [];
  }

  #reportOverflow(): boolean {
    const overflow = this.#batch.overflow;
    if (overflow !== null) this.#send({ kind: "overflow", ...overflow });
    return overflow !== null;
  }

  #writeFile(content: string | Uint8Array): string {
    const path = join(this.#options.directory, `out-${process.pid}-${this.#files++}`);
    try {
      writeFileSync(path, content);
    } catch (error) {
      unlinkSync(path);
      throw error;
    }
    return path;
  }
}
