/**
 * An owner and one node's image of its database, without a cluster between them: epochs reach the
 * image when the test says so, or when somebody needs them.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { Failure } from "../../src/base/failure.ts";
import { silentLog } from "../../src/base/log.ts";
import type { Image, Rehearsal } from "../../src/database/image.ts";
import { createImage } from "../../src/database/image-builder.ts";
import { createMachinery } from "../../src/database/machinery.ts";
import { RequestRunner } from "../../src/database/run-request.ts";
import { toFailure } from "../../src/database/sql-error.ts";
import type { WriteRequest } from "../../src/database/statement.ts";
import type { DecodedEpoch } from "../../src/epoch/epoch.ts";
import { CHANGED } from "../../src/database/expected.ts";
import { ChainOfPages } from "../unit/database/chain-of-pages.ts";

export class RehearsedOwner {
  readonly requests: WriteRequest[] = [];
  /** Called before each request is executed; what it throws is its answer. */
  before: (request: WriteRequest) => void = () => {};
  /** Called after each request is executed; what it throws hides its answer. */
  after: (request: WriteRequest) => void = () => {};
  rehearsals = 0;
  readonly #directory: string;
  readonly #chain: ChainOfPages;
  readonly #database: Database;
  readonly #runner: RequestRunner;
  readonly #pending: DecodedEpoch[] = [];
  readonly image: Image;

  private constructor(directory: string, chain: ChainOfPages, database: Database, image: Image) {
    this.#directory = directory;
    this.#chain = chain;
    this.#database = database;
    this.#runner = new RequestRunner(database);
    this.image = image;
  }

  /** `sql` is the content of its first epoch. */
  static async open(...sql: string[]): Promise<RehearsedOwner> {
    const directory = mkdtempSync(join(tmpdir(), "headgate-rehearsed-"));
    const path = join(directory, "owner.db");
    const chain = new ChainOfPages(path, 4096);
    for (const statement of [...createMachinery(), ...sql]) chain.database.run(statement);
    const first = chain.next();
    const builder = await createImage({
      clock: systemClock,
      log: silentLog,
      path: join(directory, "image.db"),
      pageSize: 4096,
    });
    await builder.write(first.pages, first.header.commit);
    const image = await builder.finish(chain.head);
    const database = new Database(path, { readwrite: true, create: false, safeIntegers: true });
    database.run("PRAGMA foreign_keys = ON");
    return new RehearsedOwner(directory, chain, database, image);
  }

  get epoch(): number {
    return this.#chain.head.epoch;
  }

  imageBytes(): Uint8Array {
    return readFileSync(this.image.path);
  }

  // deno-lint-ignore require-await -- it rejects, as the port does
  async execute(_name: string, request: WriteRequest): Promise<{ text: string; epoch: number }> {
    this.requests.push(request);
    this.before(request);
    const result = this.#execute(request);
    this.after(request);
    if (result instanceof Failure) throw result;
    return { text: `{${result},"epoch":${this.epoch}}`, epoch: this.epoch };
  }

  async rehearse<T>(
    _name: string,
    { minEpoch = 0 }: { readonly minEpoch?: number },
    run: (rehearsal: Rehearsal) => T,
  ): Promise<{ readonly value: T; readonly epoch: number }> {
    await this.publish(minEpoch);
    this.rehearsals++;
    const { epoch } = this.image.head;
    return { value: await this.image.rehearse(run), epoch };
  }

  /** Somebody else's write, in the next epoch. */
  write(sql: string): void {
    this.#database.run(sql);
    this.#runner.forgetStatements();
    this.#pending.push(this.#chain.next());
  }

  rows(sql: string): unknown[] {
    return this.#database.query(sql).values();
  }

  /** Lets the image have epochs up to this one; all when absent. */
  async publish(epoch = Infinity): Promise<void> {
    while (this.#pending.length > 0 && this.#pending[0]!.header.maxEpoch <= epoch) {
      await this.image.apply(this.#pending.shift()!);
    }
  }

  async close(): Promise<void> {
    await this.image.close();
    this.#database.close();
    this.#chain.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** The JSON of its results, or why nothing was done. */
  #execute(request: WriteRequest): string | Failure {
    this.#database.run("BEGIN IMMEDIATE");
    const context = { epoch: this.epoch + 1, nowMs: 1_000 };
    const outcome = this.#runner.run(request, context);
    if (outcome.kind === "failed") {
      if (this.#database.inTransaction) this.#database.run("ROLLBACK");
      const { details } = outcome.failure;
      if (details?.["reason"] !== CHANGED) return toFailure(outcome.failure);
      return toFailure({ ...outcome.failure, details: { ...details, epoch: this.epoch } });
    }
    this.#database.run("COMMIT");
    if (this.#runner.hasWritten) this.#pending.push(this.#chain.next());
    return outcome.kind === "done" ? outcome.result : '"results":null';
  }
}
