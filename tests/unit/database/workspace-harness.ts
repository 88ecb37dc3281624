/**
 * A writer session in this process, and a plain file of pages that its epochs are applied to: what
 * any other node would have.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PageHashes } from "../../../src/epoch/checksum.ts";
import { decodeEpoch } from "../../../src/epoch/decode.ts";
import { type DecodedEpoch, lockPage } from "../../../src/epoch/epoch.ts";
import type { JsonValue, WriteRequest } from "../../../src/database/statement.ts";
import type { FromWriter, ToWriter, WriterAnswer } from "../../../src/database/writer-message.ts";
import { WriterSession } from "../../../src/database/writer-session.ts";

export type Line = string | readonly [string, ...JsonValue[]];

/** A request of the given statements. */
export function request(...lines: Line[]): WriteRequest {
  return {
    subject: "anonymous",
    deadlineMs: Number.MAX_SAFE_INTEGER,
    statements: lines.map((line) => {
      if (typeof line === "string") return { sql: line };
      const [sql, ...params] = line;
      return { sql, params };
    }),
  };
}

export interface TakenForTest {
  readonly epoch: DecodedEpoch | null;
  readonly answers: readonly WriterAnswer[];
}

/** Pages of a chain, applied in order as a follower applies them. */
export class Pages {
  readonly pages = new Map<number, Uint8Array>();
  head: DecodedEpoch | null = null;

  readonly pageSize: number;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
  }

  apply(bytes: Uint8Array): DecodedEpoch {
    const epoch = decodeEpoch(bytes, "the epoch of a test");
    const { header } = epoch;
    if (header.minEpoch !== (this.head?.header.maxEpoch ?? 0) + 1) throw new Error("a gap");
    if (header.link !== (this.head?.fileChecksum ?? 0n)) throw new Error("a wrong link");
    if (header.timestampMs <= (this.head?.header.timestampMs ?? 0)) throw new Error("time");
    for (const { number, bytes } of epoch.pages) this.pages.set(number, bytes.slice());
    const hashes = new PageHashes(this.pageSize);
    for (const number of [...this.pages.keys()]) {
      if (number > header.commit) this.pages.delete(number);
    }
    for (let number = 1; number <= header.commit; number++) {
      if (number === lockPage(this.pageSize)) continue;
      const page = this.pages.get(number);
      if (page === undefined) throw new Error(`page ${number} is missing`);
      hashes.setPage(number, page);
    }
    if (hashes.sum !== header.databaseChecksum) throw new Error("a wrong database checksum");
    this.head = epoch;
    return epoch;
  }

  bytes(): Uint8Array {
    const commit = this.head?.header.commit ?? 0;
    const bytes = new Uint8Array(commit * this.pageSize);
    for (const [number, page] of this.pages) bytes.set(page, (number - 1) * this.pageSize);
    return bytes;
  }

  /** The content as SQLite reads it; throws unless it is sound. */
  open(): Database {
    const database = Database.deserialize(this.bytes(), { safeIntegers: true });
    const verdict = database.query("PRAGMA integrity_check").values().flat().join("; ");
    if (verdict !== "ok") throw new Error(`integrity_check: ${verdict}`);
    const orphans = database.query("PRAGMA foreign_key_check").values();
    if (orphans.length > 0) throw new Error(`foreign_key_check: ${JSON.stringify(orphans)}`);
    return database;
  }

  values(sql: string): unknown[][] {
    const database = this.open();
    try {
      return database.query(sql).values().map((row) =>
        row.map((value) => (typeof value === "bigint" ? Number(value) : value))
      );
    } finally {
      database.close();
    }
  }
}

export class SessionHarness {
  readonly directory = mkdtempSync(join(tmpdir(), "headgate-workspace-"));
  readonly pages: Pages;
  readonly messages: FromWriter[] = [];
  #session: WriterSession;
  #serial = 1;
  #timeMs = 1_000_000;
  #answers: WriterAnswer[] = [];

  constructor(pageSize = 4096) {
    this.pages = new Pages(pageSize);
    this.#session = this.#open(null, true);
  }

  get path(): string {
    return join(this.directory, "workspace.db");
  }

  execute(requests: readonly WriteRequest[], options: Partial<Message<"execute">> = {}): void {
    this.#session.execute({
      kind: "execute",
      serial: this.#serial,
      nowMs: 5_000,
      alone: false,
      epochBytesMax: 64 * 1024 * 1024,
      ...options,
      requests,
    });
    this.#serial += requests.length;
  }

  take(options: Partial<Message<"take">> = {}): TakenForTest {
    this.#session.take({
      kind: "take",
      epochKind: "data",
      timestampMs: this.#timeMs++,
      nodeId: "77",
      epochBytesMax: 64 * 1024 * 1024,
      ...options,
    });
    const taken = this.messages.findLast((message) => message.kind === "taken");
    if (taken === undefined) throw new Error(JSON.stringify(this.messages.at(-1)));
    const answers = this.#answers;
    this.#answers = [];
    if (taken.epoch === null) return { epoch: null, answers };
    const { bytes } = taken.epoch;
    const encoded = "path" in bytes
      ? readFileSync(bytes.path)
      : Uint8Array.fromBase64(bytes.base64);
    return { epoch: this.pages.apply(encoded), answers };
  }

  /** Executes one batch and takes it. */
  batch(...requests: WriteRequest[]): TakenForTest {
    this.execute(requests);
    return this.take();
  }

  rewrite(options: Partial<Message<"rewrite">> = {}): Extract<FromWriter, { kind: "rewritten" }> {
    this.#session.rewrite({
      kind: "rewrite",
      sourcePath: null,
      keepRequests: true,
      epochKind: "data",
      timestampMs: 1,
      nodeId: "77",
      ...options,
    });
    const last = this.messages.at(-1);
    if (last?.kind !== "rewritten") throw new Error(JSON.stringify(last));
    return last;
  }

  /** A second session over a copy of what the epochs have made. */
  reopenFromPages(damage: (bytes: Uint8Array) => void = () => {}): void {
    const { head } = this.pages;
    if (head === null) throw new Error("nothing was taken");
    const bytes = this.pages.bytes();
    damage(bytes);
    const path = join(this.directory, `copy-${head.header.maxEpoch}.db`);
    writeFileSync(path, bytes);
    this.#session = this.#open(
      {
        epoch: head.header.maxEpoch,
        commit: head.header.commit,
        databaseChecksum: String(head.header.databaseChecksum),
        fileChecksum: String(head.fileChecksum),
        timestampMs: head.header.timestampMs,
      },
      true,
      path,
    );
  }

  close(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #open(head: Message<"open">["head"], isCopy: boolean, path = this.path): WriterSession {
    const progressPath = join(this.directory, "progress");
    writeFileSync(progressPath, new Uint8Array(8));
    const { directory } = this;
    const { pageSize } = this.pages;
    return new WriterSession(
      { kind: "open", path, pageSize, head, isCopy, progressPath, directory },
      (message) => {
        this.messages.push(message);
        if (message.kind === "again") this.#answers = [];
        if (message.kind === "answers") this.#answers.push(...message.answers);
      },
    );
  }
}

type Message<Kind extends ToWriter["kind"]> = Extract<ToWriter, { readonly kind: Kind }>;

/** The results of an answer, parsed. */
export function results(answer: WriterAnswer | undefined): Record<string, unknown>[] {
  if (typeof answer === "object" && "file" in answer) {
    return JSON.parse(`{${readFileSync(answer.file, "utf8")}}`).results;
  }
  if (typeof answer !== "string") throw new Error(`no results: ${JSON.stringify(answer)}`);
  return JSON.parse(`{${answer}}`).results;
}

export function failure(answer: WriterAnswer | undefined): { kind: string; message: string } {
  if (typeof answer !== "object" || !("failed" in answer)) {
    throw new Error(`no failure: ${JSON.stringify(answer)}`);
  }
  return answer.failed;
}
