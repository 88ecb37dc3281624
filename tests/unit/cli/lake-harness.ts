/** Commands for lakes against nodes that answer what a test says, over real connections. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { runCommand } from "../../../src/cli/main.ts";
import { createApp } from "../../../src/http/app.ts";
import type { RowsRequest } from "../../../src/lake/rows-request.ts";
import { listen } from "../../../src/server/listen.ts";
import { MemoryNode } from "../../support/memory-node.ts";

export interface RunOptions {
  readonly input?: readonly (string | Uint8Array)[];
  readonly url?: string;
  readonly outputIsTerminal?: boolean;
  readonly errorIsTerminal?: boolean;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly bytes: Uint8Array;
  readonly err: string;
}

export class LakeCommands {
  node = new MemoryNode();
  readonly directory = mkdtempSync(join(tmpdir(), "headgate-cli-lake-"));
  /** What the command waited for, in ms. No wait takes that long here. */
  readonly waitsMs: number[] = [];
  #passedMs = 0;
  readonly #listener = listen({
    host: "127.0.0.1",
    port: 0,
    bodyBytesMax: 80_000_000,
    clock: systemClock,
    fetch: (request) => createApp(this.node, { clock: systemClock, log: silentLog }).fetch(request),
  });

  get url(): string {
    return this.#listener.url;
  }

  get answers(): MemoryNode["memoryLakes"]["answers"] {
    return this.node.memoryLakes.answers;
  }

  /** Requests with rows that came, in their order. */
  get stored(): readonly RowsRequest[] {
    return this.node.memoryLakes.seen.flatMap(({ call, arguments: [request] }) =>
      call === "store" ? [request as RowsRequest] : []
    );
  }

  /** Lets time pass for the command that runs. */
  pass(ms: number): void {
    this.#passedMs += ms;
  }

  reset(): void {
    this.node.remove();
    this.node = new MemoryNode();
    this.waitsMs.length = 0;
  }

  async close(): Promise<void> {
    await this.#listener.stop(0);
    this.node.remove();
    rmSync(this.directory, { recursive: true });
  }

  file(name: string, content: string | Uint8Array): string {
    const path = join(this.directory, name);
    writeFileSync(path, content);
    return path;
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const { input = [], url = this.url, outputIsTerminal = false, errorIsTerminal = false } =
      options;
    const parts: Uint8Array[] = [];
    let err = "";
    const code = await runCommand(args, {
      environment: { HEADGATE_URL: url },
      clock: {
        ...systemClock,
        monotonicMs: () => this.#passedMs + systemClock.monotonicMs(),
        sleep: (ms) => {
          this.waitsMs.push(ms);
          this.pass(ms);
          return systemClock.sleep(0);
        },
      },
      random: seededRandom(1),
      write: (text) => void parts.push(Buffer.from(text)),
      writeBytes: (bytes) => void parts.push(bytes.slice()),
      writeError: (text) => void (err += text),
      readInput: () => input.join(""),
      input: () => new Blob(input.map((part) => new Uint8Array(Buffer.from(part)))).stream(),
      inputIsTerminal: false,
      outputIsTerminal,
      errorIsTerminal,
      columns: () => null,
      command: ["headgate"],
    });
    const bytes = Buffer.concat(parts);
    return { code, out: bytes.toString(), bytes, err };
  }
}

/** Rows as many as lines, as a node would count them. */
export function storing(request: RowsRequest): { rows: number; snapshot: number; epoch: number } {
  const lines = Buffer.from(request.body).toString().split("\n").filter((line) =>
    line.trim() !== ""
  );
  return {
    rows: lines.length - (request.format === "csv" ? 1 : 0),
    snapshot: 3,
    epoch: 8,
  };
}
