/**
 * A TCP proxy in front of an S3 server that makes one request in so many go wrong, and counts what
 * it sees on the wire. The Host header passes through, so signatures stay right.
 *
 *   const proxy = await startFaultProxy(Number(new URL(endpoint).port));
 *   proxy.rules.push({ method: "PUT", key: /0000\/.*\.ltx$/, nth: 3, fault: { kind: "drop-after" } });
 *   … the program under test talks to proxy.endpoint …
 *   expect(proxy.count("PUT", /0000/)).toBe(3);
 *   await proxy.stop();
 *
 * Requests are read whole before anything happens to them, and so are the server's answers, so
 * "before" and "after" are exact. Bodies with a Content-Length only; that is what the SDK sends.
 */
import { request as httpRequest } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { type RawRequest, RequestReader } from "./raw-request.ts";

export type Fault =
  /** Closes the connection; the server never sees the request. */
  | { readonly kind: "drop-before"; readonly reset?: boolean }
  /** The server applies the request; the connection is closed instead of an answer. */
  | { readonly kind: "drop-after"; readonly reset?: boolean }
  /** The server applies it; the connection closes after `bytes` of the answer. */
  | { readonly kind: "cut-answer"; readonly bytes: number }
  /** The server gets the head and `bytes` of the body, then its connection closes, then ours. */
  | { readonly kind: "cut-request"; readonly bytes: number }
  /** Answers `status` in place of the server, before or after the server has applied it. */
  | {
    readonly kind: "answer";
    readonly status: number;
    readonly code?: string;
    readonly when: "before" | "after";
    readonly headers?: Readonly<Record<string, string>>;
  }
  /** Waits, then goes on as if nothing was; "after": the server has applied it by then. */
  | { readonly kind: "hang"; readonly ms: number; readonly when: "before" | "after" };

export interface FaultRule {
  /** All methods if absent. */
  readonly method?: string;
  /** Matches "key" or "key?query", decoded, without the bucket; all keys if absent. */
  readonly key?: RegExp;
  /** Of the requests that match, the first one that goes wrong, from 1 (the default). */
  readonly nth?: number;
  /** How many from there on go wrong; 1 by default. */
  readonly times?: number;
  readonly fault: Fault;
}

export interface SeenRequest {
  readonly method: string;
  /** Without the bucket, decoded. */
  readonly key: string;
  /** Decoded, without its "?". */
  readonly query: string;
  readonly atMs: number;
  /** Number of the client's connection, from 1. */
  readonly connection: number;
  readonly bodyBytes: number;
  readonly fault: Fault["kind"] | null;
  /** The server's answer; null if it was not asked or has not answered. */
  status: number | null;
}

export interface FaultProxy {
  readonly port: number;
  /** "http://127.0.0.1:port" */
  readonly endpoint: string;
  /** The first rule that matches and is due decides. May be changed at any time. */
  readonly rules: FaultRule[];
  readonly seen: readonly SeenRequest[];
  /** Requests on the wire so far, retries included. */
  count(method?: string, key?: RegExp): number;
  /** Refuses connections and closes those there are, until it is called with false. */
  refuse(on: boolean): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a proxy on a free port of 127.0.0.1 (or on `port`) in front of 127.0.0.1:`targetPort`. */
export async function startFaultProxy(targetPort: number, port = 0): Promise<FaultProxy> {
  const proxy = new Proxy(targetPort);
  await proxy.listen(port);
  return proxy;
}

class Proxy implements FaultProxy {
  port = 0;
  readonly rules: FaultRule[] = [];
  readonly seen: SeenRequest[] = [];
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #matches = new Map<FaultRule, number>();
  #server: Server | null = null;
  #connections = 0;

  constructor(targetPort: number) {
    this.#targetPort = targetPort;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  count(method?: string, key?: RegExp): number {
    return this.seen.filter((seen) =>
      (method === undefined || seen.method === method) && matches(key, seen)
    ).length;
  }

  async refuse(on: boolean): Promise<void> {
    if (on) await this.stop();
    else if (!this.#server) await this.listen(this.port);
  }

  listen(port: number): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        const address = server.address();
        if (typeof address === "object" && address) this.port = address.port;
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const closed = new Promise<void>((resolve) =>
      server ? server.close(() => resolve()) : resolve()
    );
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    const connection = ++this.#connections;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    const reader = new RequestReader(() => socket.write("HTTP/1.1 100 Continue\r\n\r\n"));
    let turn = Promise.resolve();
    socket.on("data", (chunk) => {
      for (const request of reader.push(Buffer.from(chunk))) {
        turn = turn.then(() => this.#handle(socket, request, connection)).catch(() => {
          socket.destroy(); // the server is gone, and so is its answer
        });
      }
    });
  }

  async #handle(socket: Socket, request: RawRequest, connection: number): Promise<void> {
    const { key, query } = keyOf(request.target);
    const fault = this.#faultFor(request.method, key, query);
    const seen: SeenRequest = {
      method: request.method,
      key,
      query,
      atMs: Date.now(),
      connection,
      bodyBytes: request.body.length,
      fault: fault?.kind ?? null,
      status: null,
    };
    this.seen.push(seen);
    if (fault?.kind === "drop-before") return drop(socket, fault.reset);
    if (fault?.kind === "cut-request") {
      await this.#forward(request, fault.bytes).catch(() => {});
      return drop(socket, true);
    }
    if (fault?.kind === "answer" && fault.when === "before") {
      return void socket.write(madeAnswer(request, fault));
    }
    if (fault?.kind === "hang" && fault.when === "before") await Bun.sleep(fault.ms);
    const answer = await this.#forward(request);
    seen.status = answer.status;
    if (fault?.kind === "drop-after") return drop(socket, fault.reset);
    if (fault?.kind === "cut-answer") return void socket.end(answer.bytes.subarray(0, fault.bytes));
    if (fault?.kind === "answer") return void socket.write(madeAnswer(request, fault));
    if (fault?.kind === "hang") await Bun.sleep(fault.ms);
    socket.write(answer.bytes);
  }

  #faultFor(method: string, key: string, query: string): Fault | null {
    let fault: Fault | null = null;
    for (const rule of this.rules) {
      if (rule.method !== undefined && rule.method !== method) continue;
      if (!matches(rule.key, { key, query })) continue;
      // Every rule counts what it matches, also what another one spoils.
      const number = (this.#matches.get(rule) ?? 0) + 1;
      this.#matches.set(rule, number);
      const first = rule.nth ?? 1;
      if (number >= first && number < first + (rule.times ?? 1)) fault ??= rule.fault;
    }
    return fault;
  }

  /** Sends the request on and reads the whole answer. With `cutAt` the body ends there. */
  #forward(request: RawRequest, cutAt?: number): Promise<{ status: number; bytes: Buffer }> {
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({
        host: "127.0.0.1",
        port: this.#targetPort,
        method: request.method,
        path: request.target,
        headers: request.headers.filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase())).flat(),
        agent: false,
      }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const body = Buffer.concat(chunks);
          const status = answer.statusCode ?? 0;
          resolve({ status, bytes: rawAnswer(status, answer.rawHeaders, body, request.method) });
        });
      });
      outgoing.on("error", reject);
      if (cutAt === undefined) return void outgoing.end(request.body);
      outgoing.write(request.body.subarray(0, cutAt), () => {
        outgoing.destroy();
        reject(new Error("cut"));
      });
    });
  }
}

const HOP_BY_HOP = new Set(["connection", "keep-alive", "expect", "transfer-encoding"]);

function drop(socket: Socket, reset = false): void {
  if (reset) socket.resetAndDestroy();
  else socket.destroy();
}

function keyOf(target: string): { key: string; query: string } {
  const [path = "", query = ""] = target.split("?", 2);
  const key = decodeURIComponent(path).replace(/^\/[^/]*\/?/, "");
  return { key, query: decodeURIComponent(query) };
}

function matches(pattern: RegExp | undefined, seen: { key: string; query: string }): boolean {
  if (pattern === undefined) return true;
  return pattern.test(seen.key) || pattern.test(`${seen.key}?${seen.query}`);
}

function rawAnswer(status: number, headers: readonly string[], body: Buffer, method: string) {
  let head = `HTTP/1.1 ${status} Answer\r\n`;
  let length = String(body.length);
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? "";
    if (name.toLowerCase() === "content-length") length = headers[at + 1] ?? length;
    else if (!HOP_BY_HOP.has(name.toLowerCase())) head += `${name}: ${headers[at + 1]}\r\n`;
  }
  // The answer to HEAD states the length of the body that it does not have.
  if (method !== "HEAD") length = String(body.length);
  if (status !== 204) head += `Content-Length: ${length}\r\n`;
  return Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body]);
}

function madeAnswer(request: RawRequest, fault: Fault & { kind: "answer" }): Buffer {
  const code = fault.code ?? "";
  const body = code === "" || request.method === "HEAD"
    ? ""
    : `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>${code}</Code><Message>made by the proxy</Message></Error>`;
  const headers = ["Content-Type", "application/xml", "Date", new Date().toUTCString()];
  for (const [name, value] of Object.entries(fault.headers ?? {})) headers.push(name, value);
  return rawAnswer(fault.status, headers, Buffer.from(body), request.method);
}
