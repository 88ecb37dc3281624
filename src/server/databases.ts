/** What the HTTP routes may do with databases, carried out on this node's replicas. */
import type { Clock } from "../base/clock.ts";
import { withDeadline } from "../base/deadline.ts";
import { Failure, isFailure } from "../base/failure.ts";
import { READ_TIMEOUT_MS } from "../base/limits.ts";
import type { Rehearsal } from "../database/image.ts";
import type { Readers, ReadResult } from "../database/reads.ts";
import type { WriteRequest } from "../database/statement.ts";
import { isCatalogName, SYSTEM_DATABASE } from "../epoch/name.ts";
import type {
  DatabaseInfo,
  Databases,
  ExportedFile,
  Moment,
  QueryAnswer,
  QueryRequest,
  TextAnswer,
} from "../http/node.ts";
import { exportEpoch } from "../replica/export.ts";
import { hex } from "../replica/join.ts";
import { epochAt } from "../replica/moment.ts";
import type { Parts } from "../replica/parts.ts";
import type { Replica } from "../replica/replica.ts";
import { errorCode, fileFailure } from "../store/file-error.ts";
import type { AdminGate } from "./admin-gate.ts";
import { type Catalog, DEFAULT_PAGE_SIZE } from "./catalog.ts";
import type { Forwarding } from "./forwarding.ts";
import { Levels, type Need } from "./levels.ts";

export interface DatabasesOptions {
  readonly catalog: Catalog;
  readonly readers: Readers;
  readonly parts: Parts;
  readonly clock: Clock;
  /** Asks the leader for what this node cannot answer. */
  readonly forwarding: Pick<Forwarding, "execute" | "prove">;
  readonly gate: Pick<AdminGate, "run">;
}

export class NodeDatabases implements Databases {
  readonly #options: DatabasesOptions;
  readonly #levels: Levels;

  constructor(options: DatabasesOptions) {
    this.#options = options;
    this.#levels = new Levels(options);
  }

  async list(): Promise<readonly DatabaseInfo[]> {
    const { catalog } = this.#options;
    void catalog.system;
    return await Promise.all(catalog.rows().map(({ name }) => this.inspect(name)));
  }

  async create(name: string, options: { readonly pageSize?: number }): Promise<DatabaseInfo> {
    const { catalog, gate } = this.#options;
    await gate.run(() => catalog.create(name, options.pageSize ?? DEFAULT_PAGE_SIZE));
    return await this.inspect(name);
  }

  /** Catalogs of lakes, as far as this node has heard of them. */
  catalogs(): readonly string[] {
    return this.#options.catalog.rows().map(({ name }) => name).filter(isCatalogName);
  }

  tip(name: string): number {
    return this.#options.catalog.peek(name)?.tip ?? 0;
  }

  /** Null where all that is older has been pruned. */
  async epochAt(name: string, timeMs: number): Promise<number | null> {
    const { chain } = await this.#options.catalog.wait(name);
    try {
      return await epochAt(chain, timeMs);
    } catch (error) {
      if (isFailure(error, "missing")) return null;
      throw error;
    }
  }

  /** Without its tables. */
  async createCatalog(name: string): Promise<void> {
    const { catalog, gate } = this.#options;
    await gate.run(() => catalog.createCatalog(name));
  }

  dropCatalog(name: string): Promise<{ readonly epoch: number }> {
    return this.drop(name);
  }

  // deno-lint-ignore require-await -- the port is asynchronous; a database may have to be asked elsewhere
  async inspect(name: string): Promise<DatabaseInfo> {
    const { catalog } = this.#options;
    const row = catalog.row(name);
    const replica = catalog.peek(name);
    if (!row && !replica) return missing(catalog, name);
    // One that is being read anew is no reason to list none.
    const isReadable = !["corrupt", "rebuilding", "closed"].includes(replica?.state ?? "closed");
    const image = replica && isReadable ? replica.image : null;
    const joining = catalog.openings.joining(name);
    return {
      name,
      page_size: row?.pageSize ?? replica?.pageSize ?? 0,
      head: image?.head.epoch ?? 0,
      tip: replica?.tip ?? 0,
      checksum: image ? hex(image.head.databaseChecksum) : null,
      size_bytes: image ? image.head.commit * image.pageSize : 0,
      owner: replica?.ownership?.claim.node ?? null,
      created_at: row?.createdAt ?? "",
      snapshot: replica?.backup.epoch ?? 0,
      state: replica?.state ?? "opening",
      ...(joining && { joining: { bytes: joining.bytes, bytes_total: joining.bytesTotal } }),
    };
  }

  async drop(name: string): Promise<{ readonly epoch: number }> {
    const { catalog, gate } = this.#options;
    return { epoch: await gate.run(() => catalog.drop(name)) };
  }

  execute(name: string, request: WriteRequest): Promise<TextAnswer> {
    const replica = this.#options.catalog.peek(name);
    // The hot path waits for nothing.
    if (replica?.state === "owning" && name !== SYSTEM_DATABASE) {
      return replica.execute(request).catch((error) => this.#forward(name, request, error));
    }
    return this.#executeLater(name, request);
  }

  /** The owner's own: a request that another node forwarded is not forwarded again. */
  async executeHere(name: string, request: WriteRequest): Promise<TextAnswer> {
    const { catalog, clock } = this.#options;
    refuseSystem(name, request);
    const replica = catalog.peek(name) ??
      await withDeadline(clock, request.deadlineMs, catalog.wait(name), `open ${name}`);
    return await replica.execute(request);
  }

  /** An epoch that was the newest at some moment after this call; this node must own the chain. */
  async proveHere(name: string): Promise<number> {
    return await (await this.#options.catalog.wait(name)).prove();
  }

  async #forward(name: string, request: WriteRequest, error: unknown): Promise<TextAnswer> {
    // Whoever has taken the chain does it, and nothing of it was done here.
    const isSystem = name === SYSTEM_DATABASE;
    if (!isFailure(error, "elsewhere") || isSystem) throw error;
    return await this.#atOwner(name, request);
  }

  #atOwner(name: string, request: WriteRequest): Promise<TextAnswer> {
    const here = () => this.executeHere(name, request);
    return this.#options.forwarding.execute(name, request, here);
  }

  async #executeLater(name: string, request: WriteRequest): Promise<TextAnswer> {
    const { catalog } = this.#options;
    refuseSystem(name, request);
    // Only a leader owns, and it has also what this node has not heard of or still reads.
    if (!catalog.isLeading && name !== SYSTEM_DATABASE) return await this.#atOwner(name, request);
    try {
      return await this.executeHere(name, request);
    } catch (error) {
      return await this.#forward(name, request, error);
    }
  }

  async query(name: string, request: QueryRequest): Promise<QueryAnswer> {
    const { readers } = this.#options;
    const replica = await this.#levels.open(name, request);
    const read = () => readers.query(replica.image, request);
    return answerOf(await this.#levels.read(replica, request, read));
  }

  /** For a program in this process: what `run` writes is seen by itself alone, and then gone. */
  async rehearse<T>(
    name: string,
    need: Need,
    run: (rehearsal: Rehearsal) => T,
  ): Promise<{ readonly value: T; readonly epoch: number }> {
    const replica = await this.#levels.open(name, need);
    return await this.#levels.read(replica, need, async () => {
      const { image } = replica;
      return await image.rehearse((rehearsal) => {
        const { epoch } = image.head;
        return { value: run(rehearsal), epoch };
      });
    });
  }

  async export(name: string, at: Moment): Promise<ExportedFile> {
    const { catalog, parts, clock } = this.#options;
    const replica = await catalog.wait(name);
    // Whoever exports after a write finds the write in the file.
    if (at === "now") {
      await replica.image.reached(replica.tip, clock.monotonicMs() + READ_TIMEOUT_MS);
    }
    const path = parts.temporaryPath("export");
    const epoch = at === "now" ? null : await this.#epochOf(replica, at);
    const isHead = epoch === null || epoch === replica.image.head.epoch;
    const copying = isHead
      ? replica.image.copy(path)
      : exportEpoch(parts, replica.chain, epoch, path);
    const head = await copying.catch(async (error) => {
      await parts.removeFile(path);
      throw copyFailure(name, error);
    });
    return {
      path,
      size: head.commit * replica.pageSize,
      epoch: head.epoch,
      done: () => void parts.removeFile(path),
    };
  }

  async rollback(name: string, at: Moment): Promise<{ readonly epoch: number }> {
    return { epoch: await this.#options.gate.run(() => this.#rollBack(name, at)) };
  }

  async #rollBack(name: string, at: Moment): Promise<number> {
    const { catalog, parts } = this.#options;
    if (name === SYSTEM_DATABASE) {
      throw new Failure("denied", "The database system is never rolled back; it can be exported");
    }
    // What the machinery keeps of a lake would have to go back with its rows.
    if (isCatalogName(name)) {
      throw new Failure("denied", "The catalog of a lake is not rolled back; it can be exported");
    }
    if (at === "now") throw new Failure("invalid", "A rollback needs an epoch or a time");
    if ("timeMs" in at && at.timeMs > this.#options.clock.nowMs()) {
      const time = new Date(at.timeMs).toISOString();
      throw new Failure("invalid", `Cannot roll ${name} back to ${time}: it lies ahead`);
    }
    catalog.leading();
    const replica = await catalog.wait(name);
    const epoch = await this.#epochOf(replica, at);
    const path = parts.temporaryPath("rollback");
    try {
      await exportEpoch(parts, replica.chain, epoch, path).catch((error) => {
        throw copyFailure(name, error);
      });
      const source = { path };
      return await replica.rewrite({ source, keepRequests: true, kind: "data" });
    } finally {
      await parts.removeFile(path);
    }
  }

  async #epochOf(replica: Replica, at: Exclude<Moment, "now">): Promise<number> {
    if ("timeMs" in at) return await epochAt(replica.chain, at.timeMs);
    if (at.epoch <= replica.tip) return at.epoch;
    throw new Failure(
      "missing",
      `There is no epoch ${at.epoch} of ${replica.name}; the newest is ${replica.tip}`,
    );
  }
}

/** A full `memory_dir` is no bug, and nothing was done yet. */
function copyFailure(name: string, error: unknown): unknown {
  return errorCode(error) === undefined ? error : fileFailure(`copy ${name} to memory_dir`, error);
}

function refuseSystem(name: string, request: WriteRequest): void {
  if (name !== SYSTEM_DATABASE || request.trusted) return;
  throw new Failure("denied", "The database system belongs to the cluster: it can be read only");
}

function missing(catalog: Catalog, name: string): never {
  void catalog.system;
  throw new Failure("missing", `There is no database ${JSON.stringify(name.slice(0, 80))}`);
}

function answerOf(result: ReadResult): QueryAnswer {
  if (result.kind === "text") return result;
  return { path: result.path, size: result.size, epoch: result.epoch, done: () => result.done() };
}
