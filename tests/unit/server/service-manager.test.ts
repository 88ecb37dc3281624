import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ptr } from "bun:ffi";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCLibrary } from "../../../src/base/c-library.ts";
import { createLog, silentLog } from "../../../src/base/log.ts";
import { serviceManager, socketAddress } from "../../../src/server/service-manager.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const c = openCLibrary({
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

let directory: string;
let open: number[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-notify-"));
  open = [];
});
afterEach(() => {
  for (const descriptor of open) c.close(descriptor);
  rmSync(directory, { recursive: true });
});

/** A socket as systemd's; the function takes what has come to it. */
function receiver(name: string): () => string[] {
  const descriptor = c.socket(AF_UNIX, SOCK_DGRAM, 0);
  open.push(descriptor);
  const address = socketAddress(name);
  expect(c.bind(descriptor, ptr(address), address.length)).toBe(0);
  return () => {
    const found: string[] = [];
    for (;;) {
      const bytes = new Uint8Array(4096);
      const size = Number(c.recv(descriptor, ptr(bytes), bytes.length, MSG_DONTWAIT));
      if (size <= 0) return found;
      found.push(new TextDecoder().decode(bytes.subarray(0, size)));
    }
  };
}

describe("the service manager", () => {
  const names = [
    { kind: "a path", name: () => join(directory, "notify") },
    { kind: "an abstract name", name: () => `@headgate-${process.pid}` },
  ];
  for (const { kind, name } of names) {
    test(`is told at ${kind} what becomes of the node`, () => {
      const received = receiver(name());
      const manager = serviceManager(name(), silentLog);
      manager.status("starting");
      manager.ready();
      manager.status("leads,\nterm 3");
      manager.status("leads, term 3");
      manager.stopping();
      expect(received()).toEqual([
        "STATUS=starting",
        "READY=1",
        "STATUS=leads, term 3",
        "STOPPING=1",
      ]);
    });
  }

  test("is told nothing where there is none", () => {
    for (const name of [undefined, ""]) serviceManager(name, silentLog).ready();
  });

  test("that is gone, or has no name that is one, is warned of and changes nothing", () => {
    let lines = "";
    const log = createLog({
      level: "warn",
      format: "text",
      nowMs: () => 0,
      write: (line) => void (lines += `${line}\n`),
    });
    const wrong = [join(directory, "nobody"), "relative", "@", `/${"x".repeat(107)}`];
    for (const name of wrong) serviceManager(name, log).ready();
    expect(lines.split("\n").length - 1).toBe(wrong.length);
    expect(lines).toContain("nobody takes it");
    expect(lines).toContain('NOTIFY_SOCKET is \\"relative\\"');
  });
});
