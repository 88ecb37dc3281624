import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog, silentLog } from "../../../src/base/log.ts";
import { serviceManager } from "../../../src/server/service-manager.ts";
import { DatagramReceiver } from "../../support/datagram-receiver.ts";

let directory: string;
let open: DatagramReceiver[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "headgate-notify-"));
  open = [];
});
afterEach(() => {
  for (const receiver of open) receiver.close();
  rmSync(directory, { recursive: true });
});

describe("the service manager", () => {
  const names = [
    { kind: "a path", name: () => join(directory, "notify") },
    { kind: "an abstract name", name: () => `@headgate-${process.pid}` },
  ];
  for (const { kind, name } of names) {
    test(`is told at ${kind} what becomes of the node`, () => {
      const receiver = new DatagramReceiver(name());
      open.push(receiver);
      const manager = serviceManager(name(), silentLog);
      manager.status("starting");
      manager.ready();
      manager.status("leads,\nterm 3");
      manager.status("leads, term 3");
      manager.stopping();
      expect(receiver.take()).toEqual([
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
