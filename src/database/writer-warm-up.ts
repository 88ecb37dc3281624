/**
 * What the first epoch of a writer process would wait for, done on a database of its own: half of
 * some 40 ms in which a new leader's clients wait.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WriterSession } from "./writer-session.ts";

/** Throws where there is no room for a small file; nothing of it is left. */
export function warmUpWriter(): void {
  const directory = mkdtempSync(join(tmpdir(), "headgate-warm-up-"));
  try {
    const progressPath = join(directory, "progress");
    writeFileSync(progressPath, new Uint8Array(8));
    const path = join(directory, "database");
    const session = new WriterSession(
      { kind: "open", path, pageSize: 4096, head: null, isCopy: false, progressPath, directory },
      () => {},
    );
    const epochBytesMax = 1_000_000;
    const sql = "INSERT INTO _headgate_requests VALUES (?, ?, x'', '', 1, 1)";
    const requests = ["a", "b"].map((key) => ({
      statements: [{ sql, params: ["warm-up", key] }],
      subject: "warm-up",
      deadlineMs: 0,
      trusted: true,
    }));
    session.execute({
      ...{ kind: "execute", serial: 1, nowMs: 0, alone: false, epochBytesMax, requests },
    });
    session.take({ kind: "take", epochKind: "data", timestampMs: 1, nodeId: "1", epochBytesMax });
    session.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
